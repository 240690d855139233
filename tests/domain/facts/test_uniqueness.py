"""What no two entities of a namespace share: each part of each key, and nothing besides."""

from __future__ import annotations

from typing import Any

import pytest
from tests.domain.facts.book import (
    KINDS,
    MATRIX,
    another,
    change,
    codes_of,
    errors_of,
    fields_of,
)
from tests.domain.facts.test_references import surroundings
from tests.domain.samples import FULL, MINIMAL
from tests.domain.world import World

from eatool.domain.decision import Accepted

UNIQUE = {kind: list(facts["unique"]) for kind, facts in KINDS.items() if "unique" in facts}
PARTS = [(kind, part) for kind, key in UNIQUE.items() for part in key]


def second(kind: str, first: dict[str, Any], then: dict[str, Any]) -> list[tuple[str, str]]:
    """Complaints about ``then`` beside ``first``, which is recorded."""
    world = World()
    for spec in (first, then):
        surroundings(world, kind, spec)
    world.apply(kind, "first", first)
    decision = change(world, kind, "second", then)
    return [(error.field, error.code.value) for error in errors_of(decision)]


def with_everything_else_different(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        field.name: spec[field.name]
        if field.name in UNIQUE[kind] or field.name == "sunsetDate"
        else another(field, spec[field.name])
        for field in fields_of(kind)
        if field.name not in ("lifecycle", "sunsetDate")
    } | {name: spec[name] for name in ("lifecycle", "sunsetDate") if name in spec}


@pytest.mark.parametrize("kind", UNIQUE)
def test_whoever_agrees_in_the_key_clashes_whatever_the_rest(kind: str) -> None:
    clash = [(f"spec.{UNIQUE[kind][-1]}", "ALREADY_EXISTS")]
    assert second(kind, FULL[kind], with_everything_else_different(kind, FULL[kind])) == clash
    assert second(kind, MINIMAL[kind], MINIMAL[kind]) == clash, "what is absent agrees, too"
    folded = [MINIMAL[kind] | {"name": name} for name in ("Stra\u00dfe e\u0301", "STRASSE \u00c9")]
    assert second(kind, *folded) == clash, "in any case, composed or not"


@pytest.mark.parametrize(("kind", "part"), PARTS)
def test_whoever_differs_in_one_part_does_not(kind: str, part: str) -> None:
    (field,) = (field for field in fields_of(kind) if field.name == part)
    assert second(kind, FULL[kind], FULL[kind] | {part: another(field, FULL[kind][part])}) == []
    if not field.required:
        absent = {name: value for name, value in FULL[kind].items() if name != part}
        assert second(kind, FULL[kind], absent) == []


@pytest.mark.parametrize("kind", ["Integration", "Server"])
def test_other_kinds_may_be_there_twice(kind: str) -> None:
    assert second(kind, FULL[kind], FULL[kind]) == []


def test_two_servers_of_one_host_and_environment_are_only_warned_of() -> None:
    world, server = World(), FULL["Server"]
    world.apply("Server", "first", server)
    for name, spec, clashes in (
        ("same", server | {"hostname": "ERP-DB_01.nordfjell.example", "region": "x"}, True),
        ("host", server | {"hostname": "other"}, False),
        ("stage", server | {"environment": "dev"}, False),
    ):
        decision = world.decide("Server", name, spec)
        assert isinstance(decision, Accepted)
        warned = [(each.field, each.code.value) for each in decision.warnings]
        assert warned == ([("spec.hostname", "ALREADY_EXISTS")] if clashes else []), name


DAYS = [f"2026-01-{day:02}T00:00:00Z" for day in range(1, 5)]
WINDOWS: list[tuple[dict[str, str], dict[str, str], bool]] = [
    ({}, {}, True),
    ({"effectiveTo": DAYS[0]}, {}, True),
    ({"effectiveTo": DAYS[0]}, {"effectiveFrom": DAYS[1]}, False),
    ({"effectiveTo": DAYS[1]}, {"effectiveFrom": DAYS[1]}, True),
    ({"effectiveFrom": DAYS[2]}, {"effectiveFrom": DAYS[0], "effectiveTo": DAYS[1]}, False),
    (
        {"effectiveFrom": DAYS[0], "effectiveTo": DAYS[3]},
        {"effectiveFrom": DAYS[1], "effectiveTo": DAYS[2]},
        True,
    ),
]


@pytest.mark.parametrize(("first", "then", "clash"), WINDOWS)
def test_the_same_edge_is_not_there_twice_at_a_time(
    first: dict[str, str], then: dict[str, str], clash: bool
) -> None:
    edge, complaint = MINIMAL["Relation"], [("spec.targetId", "ALREADY_EXISTS")]
    assert second("Relation", edge | first, edge | then) == (complaint if clash else [])


def test_edges_that_differ_in_an_end_or_in_the_verb_do_not_clash() -> None:
    edges = [
        World.relation(f"{source}/{a}", verb, f"{target}/{b}")
        for source, verb, target, _ in MATRIX
        for a, b in (("a", "b"), ("c", "b"), ("a", "c"))
    ]
    world = World()
    for number, edge in enumerate(edges):
        surroundings(world, "Relation", edge)
        world.apply("Relation", f"edge-{number}", edge)
    for number, edge in enumerate(edges):
        again = world.decide("Relation", f"again-{number}", edge | {"label": "again"})
        assert codes_of(again) == {"ALREADY_EXISTS"}
