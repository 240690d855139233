"""Rows of adopted tables, written beside their own application."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text
from tests.legacy.landscape import create_tables, insert
from tests.store.stores import DATABASES, database_url

from eatool.domain.kind import EntitySpec
from eatool.domain.kinds import KINDS
from eatool.domain.parsing import parse
from eatool.legacy.adoption import adopt
from eatool.legacy.rows import canonical
from eatool.legacy.tables import legacy_change
from eatool.legacy.writing import LegacyRows, RowChanged
from eatool.store.sql.engine import open_engine, reading


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(database_url(request.param, tmp_path, request))
    with made.begin() as connection:
        create_tables(connection)
    adopt(made, KINDS.values())
    yield made
    made.dispose()


def organization(**spec: Any) -> EntitySpec:
    return parse(KINDS["organization"], {"name": "Shop", **spec})


def changes(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalars(select(func.count()).select_from(legacy_change)).one()


SPECS: dict[str, dict[str, Any]] = {
    "organization": {"name": "Shop", "domains": ["shop.example"], "contacts": ["a@shop.example"]},
    "application": {
        "name": "Shop",
        "owner": "team",
        "lifecycle": "deprecated",
        "sunsetDate": "2027-01-31",
        "dataClassification": "internal",
        "tags": ["core"],
    },
    "application_interface": {
        "name": "API",
        "protocol": "https",
        "endpoint": "https://shop.example/api",
        "version": "v2",
        "exposedByAppId": "shop",
        "rateLimits": {"requestsPerSecond": 5, "quotas": {"per_day": 10, "perHour": 3}},
        "status": "active",
    },
    "data_entity": {
        "name": "Order",
        "classification": "restricted",
        "criticality": "high",
        "piiFlag": True,
        "lineage": ["customer"],
    },
    "relation": {
        "sourceType": "application",
        "sourceId": "shop",
        "targetType": "server",
        "targetId": "host",
        "relationType": "deployed_on",
        "confidence": 0.8,
        "effectiveFrom": "2026-01-31T08:30:00.125Z",
    },
}


@pytest.mark.parametrize("aggregate_type", SPECS)
def test_a_spec_comes_back_from_its_row(engine: Engine, aggregate_type: str) -> None:
    kind = KINDS[aggregate_type]
    spec = parse(kind, SPECS[aggregate_type])
    with engine.begin() as connection:
        rows = LegacyRows(connection)
        version = rows.upsert(aggregate_type, "it", spec, expected_version=0)
        row = rows.get(aggregate_type, "it")
        assert row is not None
        assert (row.version, row.deleted) == (version, False)
        assert canonical(kind, row.values) == spec
        assert rows.upsert(aggregate_type, "it", spec, expected_version=version) == version
    assert changes(engine) == 1


def test_what_means_the_same_is_not_written(engine: Engine) -> None:
    with engine.begin() as connection:
        insert(
            connection,
            "organizations",
            {
                "id": "shop",
                "name": " Shop ",
                "contacts": '["Jane@Shop.Example", "jane@shop.example"]',
            },
        )
    before = changes(engine)
    with engine.begin() as connection:
        rows = LegacyRows(connection)
        row = rows.get("organization", "shop")
        assert row is not None
        same = canonical(KINDS["organization"], row.values)
        assert rows.upsert("organization", "shop", same) == row.version
        assert rows.get("organization", "shop") == row
    assert changes(engine) == before


def test_a_write_on_an_old_version_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        first = LegacyRows(connection).upsert("organization", "shop", organization())
        connection.execute(text("UPDATE organizations SET name = 'Shops'"))
    with engine.begin() as connection:
        rows = LegacyRows(connection)
        for expected in (0, first):
            with pytest.raises(RowChanged) as refusal:
                rows.upsert("organization", "shop", organization(), expected_version=expected)
            assert (refusal.value.expected, refusal.value.actual) == (expected, first + 1)
        with pytest.raises(RowChanged):
            rows.soft_delete("organization", "other", expected_version=1)
        second = rows.upsert("organization", "shop", organization(), expected_version=first + 1)
        assert second == first + 2
        assert rows.get("organization", "shop").version == second  # type: ignore[union-attr]


def test_a_deleted_row_stays_and_can_be_revived(engine: Engine) -> None:
    with engine.begin() as connection:
        rows = LegacyRows(connection)
        first = rows.upsert("organization", "shop", organization())
        gone = rows.soft_delete("organization", "shop", expected_version=first)
        assert gone == first + 1
        assert rows.soft_delete("organization", "shop") == gone
        assert rows.soft_delete("organization", "never") == 0
        assert rows.count("organization") == 0
        row = rows.get("organization", "shop")
        assert row is not None
        assert row.deleted
        assert rows.upsert("organization", "shop", organization()) == gone + 1
        assert rows.count("organization") == 1


def test_many_rows_are_written_at_once(engine: Engine) -> None:
    with engine.begin() as connection:
        rows = LegacyRows(connection)
        kept = rows.upsert("organization", "kept", organization(name="Kept"))
        old = rows.upsert("organization", "old", organization(name="Old"))
        after = rows.write(
            "organization",
            {
                "kept": organization(name="Kept"),
                "old": organization(name="New"),
                "ended": None,
                **{f"o{index}": organization(name=f"O{index}") for index in range(1_500)},
            },
        )
        assert after["kept"] == kept
        assert after["old"] == old + 1
        assert "ended" not in after
        assert len(after) == 1_502
        first = rows.page("organization", limit=1_000)
        second = rows.page("organization", after=first[-1].id, limit=1_000)
        assert len({row.id for row in (*first, *second)}) == 1_502
        assert {row.id: row.version for row in (*first, *second)} == after


def test_who_inserts_a_row_at_the_same_time_is_waited_for(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """PostgreSQL: neither write is lost, and the later one knows what it wrote over."""
    engine = open_engine(database_url("postgresql", tmp_path, request))
    with engine.begin() as connection:
        create_tables(connection)
    adopt(engine, [KINDS["organization"]])

    def ours() -> int:
        with engine.begin() as connection:
            return LegacyRows(connection).upsert("organization", "shop", organization(name="Ours"))

    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as theirs:
            insert(theirs, "organizations", {"id": "shop", "name": "Theirs"})
            first = LegacyRows(theirs).get("organization", "shop")
            assert first is not None
            written = pool.submit(ours)
            _until_somebody_waits(engine)
        version = written.result(timeout=30)
    assert version == first.version + 1
    with engine.connect() as connection:
        row = LegacyRows(connection).get("organization", "shop")
    assert row is not None
    assert (row.values["name"], row.version) == ("Ours", version)
    engine.dispose()


def _until_somebody_waits(engine: Engine) -> None:
    query = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 20
    with reading(engine).connect() as connection:
        while not connection.execute(query).scalar_one():
            assert time.monotonic() < deadline
            time.sleep(0.01)
