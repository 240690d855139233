"""What needs a reason or an approval where a site asks for it: this, and nothing else."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from tests.domain.facts.book import (
    FIELDS,
    KINDS,
    VALUES,
    FieldFact,
    another,
    change,
    errors_of,
    place,
)
from tests.domain.facts.test_references import surroundings
from tests.domain.samples import FULL
from tests.domain.world import World

from eatool.domain.decision import Decision
from eatool.domain.kinds import KINDS as DECLARED
from eatool.domain.policies import Policy

EVERY = frozenset(DECLARED)
ASKING = Policy(require_reason=EVERY, require_approval=EVERY)
CODES = {"reason": "JUSTIFICATION_REQUIRED", "approval": "APPROVAL_REQUIRED"}
GIVEN = {"reason": "because", "approval": "ARB-1"}
IDENTITY = set(KINDS["Relation"]["immutable"])


def asked(decision: Decision) -> set[tuple[str, str]]:
    """Paths and codes of what the policy misses."""
    codes = set(CODES.values())
    return {(e.field, e.code.value) for e in errors_of(decision) if e.code.value in codes}


def needs(kind: str, what: str, path: str) -> set[tuple[str, str]]:
    return {(path, CODES[each]) for each in KINDS[kind].get("policy", {}).get(what, ())}


def told(*names: str) -> dict[str, Any]:
    keys = {"reason": "reason", "approval": "approval_id"}
    return {keys[name]: GIVEN[name] for name in names}


@pytest.mark.parametrize(
    "field", [f for f in FIELDS if not (f.kind == "Relation" and f.name in IDENTITY)], ids=str
)
def test_a_change_of_a_field(field: FieldFact) -> None:
    world = World()
    place(world, field.kind, "it", FULL[field.kind])
    new = FULL[field.kind] | {field.name: another(field, FULL[field.kind][field.name])}
    surroundings(world, field.kind, new)
    assert asked(change(world, field.kind, "it", new)) == set(), "off by default"
    world.policy = ASKING
    wanted = needs(field.kind, field.name, f"spec.{field.name}")
    if str(field) == "DataEntity.classification":  # from restricted, so it is lowered
        wanted |= needs(field.kind, "lowering classification", f"spec.{field.name}")
    assert asked(change(world, field.kind, "it", new)) == wanted
    assert asked(change(world, field.kind, "it", new, **told("reason", "approval"))) == set()


LEVELS = VALUES["classification"]["all"]


@pytest.mark.parametrize(("old", "new"), list(product(LEVELS, repeat=2)))
def test_a_change_of_classification(old: str, new: str) -> None:
    lowered = LEVELS.index(new) < LEVELS.index(old)
    for kind, field, approval in (
        ("DataEntity", "classification", lowered),
        ("Application", "dataClassification", False),
    ):
        world = World()
        place(world, kind, "it", FULL[kind] | {field: old})
        surroundings(world, kind, FULL[kind])
        world.policy = ASKING
        wanted = {(f"spec.{field}", CODES["reason"])} if old != new else set()
        wanted |= {(f"spec.{field}", CODES["approval"])} if approval else set()
        assert asked(change(world, kind, "it", FULL[kind] | {field: new})) == wanted, kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_deletion(kind: str) -> None:
    world = World()
    place(world, kind, "it", FULL[kind])
    assert asked(world.decide_deletion(kind, "it")) == set(), "off by default"
    world.policy = ASKING
    assert asked(world.decide_deletion(kind, "it")) == needs(
        kind, "deletion", "metadata.annotations"
    )
    assert asked(world.decide_deletion(kind, "it", **told("reason", "approval"))) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_each_switch_is_for_its_kinds_and_its_question(kind: str) -> None:
    aggregate = next(name for name, each in DECLARED.items() if each.kind == kind)
    wanted = needs(kind, "deletion", "metadata.annotations")
    for policy, left in (
        (Policy(require_reason=EVERY), {pair for pair in wanted if pair[1] == CODES["reason"]}),
        (Policy(require_approval=EVERY), {pair for pair in wanted if pair[1] == CODES["approval"]}),
        (Policy(EVERY - {aggregate}, EVERY - {aggregate}), set()),
        (Policy(strict_lifecycle=EVERY), set()),
    ):
        world = World(policy=policy)
        place(world, kind, "it", FULL[kind])
        assert asked(world.decide_deletion(kind, "it")) == left
