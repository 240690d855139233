"""What may be in a spec: fields, which are required, what each takes and means, what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from tests.domain.facts.book import FIELDS, KINDS, VALUES, FieldFact, fields_of, illegal, legal
from tests.domain.samples import FULL, MINIMAL
from tests.domain.world import complaints

from eatool.domain.kinds import by_kind
from eatool.domain.parsing import parse

#: Fields that are legal only beside another one, with it.
BESIDE: dict[str, dict[str, Any]] = {
    "Application.sunsetDate": {"lifecycle": "retired"},
    "Application.lifecycle": {"sunsetDate": None},
}
#: What these may be beside each other is for the tests of the matrix.
ENDS = {"sourceType", "targetType", "relationType", "archimateRelationship"}


def spec_with(field: FieldFact, value: object) -> dict[str, Any]:
    return MINIMAL[field.kind] | BESIDE.get(str(field), {}) | {field.name: field.holding(value)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_these_fields_and_requires_these(kind: str) -> None:
    assert set(FULL[kind]) == {field.name for field in fields_of(kind)}
    assert complaints(kind, FULL[kind]) == []
    for field in fields_of(kind):
        without = {name: value for name, value in FULL[kind].items() if name != field.name}
        said = [line.split(":")[0] for line in complaints(kind, without)]
        assert said == ([f"REQUIRED spec.{field.name}"] if field.required else []), field


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_a_field_takes_what_is_legal_and_knows_what_it_means(field: FieldFact) -> None:
    for value, means in legal(field):
        if field.name in ENDS:
            by_kind(field.kind).spec.model_validate(spec_with(field, value))
            continue
        accepted = parse(by_kind(field.kind), spec_with(field, value))
        told = accepted.model_dump(mode="json", by_alias=True)[field.name]
        assert told == field.holding(means), (field, value)


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_a_field_refuses_what_is_not(field: FieldFact) -> None:
    for value, code in illegal(field):
        said = complaints(field.kind, spec_with(field, value))
        assert len(said) == 1, (field, value, said)
        assert said[0].startswith(f"{code} {field.path}"), (field, value, said)


@pytest.mark.parametrize("field", [field for field in FIELDS if field.many], ids=str)
def test_a_list_is_a_set_with_a_limit(field: FieldFact) -> None:
    limit = VALUES.get(field.type, {}).get("at most", 200)
    make = {"DNS domain": "d{}.example", "e-mail": "m{}@shop.example"}.get(field.type, "n{}")
    many = [make.format(number) for number in range(limit + 1)]
    spec = MINIMAL[field.kind]
    parse(by_kind(field.kind), spec | {field.name: many[:limit]})
    assert [line.split(":")[0] for line in complaints(field.kind, spec | {field.name: many})] == [
        f"TOO_LARGE spec.{field.name}"
    ]
    two = [make.format(1), make.format(2)]
    once = parse(by_kind(field.kind), spec | {field.name: two})
    assert parse(by_kind(field.kind), spec | {field.name: [*two[::-1], two[0]]}) == once
    assert parse(by_kind(field.kind), spec | {field.name: []}) == parse(by_kind(field.kind), spec)


def test_a_sunset_date_is_for_what_ends() -> None:
    for lifecycle in VALUES["lifecycle"]["all"]:
        spec = MINIMAL["Application"] | {"lifecycle": lifecycle, "sunsetDate": "2026-09-30"}
        said = [line.split(":")[0] for line in complaints("Application", spec)]
        ends = lifecycle in ("deprecated", "retired")
        assert said == ([] if ends else ["CONSTRAINT_VIOLATED spec.sunsetDate"]), lifecycle


def test_ends_differ_and_windows_open_before_they_close() -> None:
    same = MINIMAL["Integration"] | {"targetAppId": MINIMAL["Integration"]["sourceAppId"]}
    assert complaints("Integration", same)[0].startswith("SELF_RELATION spec.targetAppId")
    edge = MINIMAL["Relation"]
    itself = edge | {"targetId": edge["sourceId"]}
    assert complaints("Relation", itself)[0].startswith("SELF_RELATION spec.targetId")
    day, next_day = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    assert complaints("Relation", edge | {"effectiveFrom": day, "effectiveTo": day}) == []
    late = edge | {"effectiveFrom": next_day, "effectiveTo": day}
    assert complaints("Relation", late)[0].startswith("RANGE spec.effectiveTo")


def test_what_is_absent_means() -> None:
    """Defaults; everything else that is absent is not set."""
    defaults = {
        "Relation": {"confidence": 1.0, "style": "solid", "bidirectional": False},
        "DataEntity": {"piiFlag": False},
    }
    for kind, spec in MINIMAL.items():
        told = parse(by_kind(kind), spec).model_dump(mode="json", by_alias=True)
        rest = {name: value for name, value in told.items() if name not in spec}
        set_anyway = {name: value for name, value in rest.items() if value not in (None, [])}
        assert set_anyway == defaults.get(kind, {}), kind
