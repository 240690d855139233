"""What a row of the registry means, in whatever form it comes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.domain.strategies import specs
from tests.legacy.landscape import create_tables
from tests.store.stores import DATABASES, database_url

from eatool.domain.errors import Code, SpecInvalid
from eatool.domain.kinds import KINDS
from eatool.legacy.adoption import adopt
from eatool.legacy.rows import (
    canonical,
    canonicalised,
    column_of,
    fingerprint,
    name_complaint,
    spec_fingerprint,
    spec_of,
)
from eatool.legacy.tables import LEGACY_TABLES
from eatool.legacy.writing import LegacyRows
from eatool.projections.tables import READ_TABLES
from eatool.store.sql.engine import open_engine


def row(aggregate_type: str, **values: Any) -> dict[str, Any]:
    return {**dict.fromkeys(LEGACY_TABLES[aggregate_type].fields), **values}


DATA = {"name": "Order", "classification": "public", "criticality": "low"}


@pytest.mark.parametrize(
    "values",
    [
        {"pii_flag": True, "glossary_terms": ["Basket", "Order"]},
        {"pii_flag": 1, "glossary_terms": '["Order", "Basket", "Order"]', "lineage": "[]"},
    ],
)
def test_both_databases_forms_mean_the_same(values: dict[str, Any]) -> None:
    kind = KINDS["data_entity"]
    spec = canonical(kind, row("data_entity", **DATA, **values))
    wanted = {**DATA, "pii_flag": True, "glossary_terms": ["Basket", "Order"]}
    assert spec_fingerprint(kind, spec) == fingerprint(kind, wanted)


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 1, 31, 8, 30, tzinfo=UTC),
        datetime(2026, 1, 31, 8, 30),  # noqa: DTZ001 - as a column without a zone gives it
        "2026-01-31 08:30:00.000000",
        "2026-01-31T09:30:00+01:00",
    ],
)
def test_times_are_utc_unless_they_say_so(at: object) -> None:
    values = row("relation", last_verified_at=at, confidence=Decimal("0.8"))
    assert spec_of(KINDS["relation"], values) == {
        "lastVerifiedAt": "2026-01-31T08:30:00Z",
        "confidence": 0.8,
    }


def test_nested_names_are_those_of_a_manifest_and_quotas_stay() -> None:
    limits = '{"requests_per_second": 5, "quotas": {"per_day": 9}, "odd_one": 1}'
    assert spec_of(
        KINDS["application_interface"], row("application_interface", rate_limits=limits)
    ) == {"rateLimits": {"requestsPerSecond": 5, "quotas": {"per_day": 9}, "odd_one": 1}}


@pytest.mark.parametrize(
    ("aggregate_type", "values", "path"),
    [
        ("application", {"tags": "a,b"}, "spec.tags"),
        ("application", {"tags": '{"a": 1}'}, "spec.tags"),
        ("application", {"sunset_date": "soon"}, "spec.sunsetDate"),
        ("data_entity", {"pii_flag": "yes"}, "spec.piiFlag"),
        ("data_entity", {"pii_flag": 7}, "spec.piiFlag"),
        ("relation", {"effective_from": "long ago"}, "spec.effectiveFrom"),
        ("relation", {"confidence": "high"}, "spec.confidence"),
        ("application_interface", {"rate_limits": "[1]"}, "spec.rateLimits"),
    ],
)
def test_what_a_column_should_not_hold_is_refused_by_name(
    aggregate_type: str, values: dict[str, Any], path: str
) -> None:
    with pytest.raises(SpecInvalid) as refusal:
        canonical(KINDS[aggregate_type], row(aggregate_type, **values))
    assert path in {error.field for error in refusal.value.errors}


@pytest.mark.parametrize(
    ("row_id", "code"),
    [
        ("app-1", None),
        ("a.b-c", None),
        (None, Code.REQUIRED),
        ("", Code.FORMAT),
        ("APP", Code.FORMAT),
        ("a/b", Code.FORMAT),
        ("a..b", Code.FORMAT),
        ("app_1", Code.FORMAT),
        ("x" * 64, Code.RANGE),
    ],
)
def test_ids_are_names_of_objects(row_id: str | None, code: Code | None) -> None:
    found = name_complaint(row_id)
    assert (found and found.code) == code


def test_complaints_name_columns() -> None:
    assert column_of("metadata.name") == "id"
    assert column_of("spec.rateLimits.burst") == "rate_limits.burst"
    assert column_of("spec.exposedByAppIds[2]") == "exposed_by_app_ids[2]"


def test_a_corrected_value_is_told_but_not_a_reordered_set() -> None:
    kind = KINDS["organization"]
    raw = {"name": " Shop ", "domains": ["b.example", "a.example"], "contacts": ["a@B.example"]}
    spec = canonical(
        kind,
        row("organization", name=" Shop ", domains=raw["domains"], contacts=raw["contacts"]),
    )
    assert canonicalised(kind, raw, spec) == {
        "name": (" Shop ", "Shop"),
        "contacts": (["a@B.example"], ["a@b.example"]),
    }


def test_fingerprints_tell_fields_apart_and_fit_64_bits() -> None:
    kind = KINDS["application"]
    one = fingerprint(kind, {"name": "a", "sunset_date": date(2027, 1, 31)})
    assert one == fingerprint(kind, {"name": "a", "sunset_date": "2027-01-31", "tags": []})
    assert one != fingerprint(kind, {"owner": "a", "sunset_date": "2027-01-31"})
    # They are stored: another release must not find every row changed.
    assert one == 667579509779007855
    assert -(2**63) <= one < 2**63


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("aggregate_type", KINDS)
def test_any_spec_survives_the_table_with_its_fingerprint(
    database: str, aggregate_type: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kind = KINDS[aggregate_type]
    engine = open_engine(database_url(database, tmp_path, request))
    with engine.begin() as connection:
        create_tables(connection)
    adopt(engine, [kind])

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def survives(data: st.DataObject) -> None:
        spec = data.draw(specs(kind))
        with engine.begin() as connection:
            rows = LegacyRows(connection)
            version = rows.upsert(aggregate_type, "it", spec)
            kept = rows.get(aggregate_type, "it")
            assert kept is not None
            assert kept.version == version
            back = canonical(kind, kept.values)
            assert back == spec
            assert rows.upsert(aggregate_type, "it", spec) == version
        read = READ_TABLES[aggregate_type]
        values = read.spec_values(spec.model_dump(mode="json", by_alias=False))
        fields = {column.field: values[column.name] for column in read.columns}
        assert fingerprint(kind, fields) == spec_fingerprint(kind, back)

    try:
        survives()
    finally:
        engine.dispose()
