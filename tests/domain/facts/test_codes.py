"""The codes there are: each with its condition reason, and something that raises it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.domain.facts.book import change, codes_of, errors_of, place
from tests.domain.samples import MINIMAL
from tests.domain.world import World, complaints

from eatool.domain.errors import Code
from eatool.domain.kinds import KINDS
from eatool.domain.landscape import Pending
from eatool.domain.policies import Policy

REASONS = {
    "REQUIRED": "Required",
    "FORMAT": "Format",
    "RANGE": "Range",
    "CONSTRAINT_VIOLATED": "ConstraintViolated",
    "CIRCULAR_REFERENCE": "CircularReference",
    "INVALID_STATE_TRANSITION": "InvalidStateTransition",
    "ALREADY_EXISTS": "AlreadyExists",
    "REFERENCE_NOT_FOUND": "ReferenceNotFound",
    "REFERENCE_TERMINATING": "ReferenceTerminating",
    "RELATION_NOT_ALLOWED": "RelationNotAllowed",
    "SELF_RELATION": "SelfRelation",
    "ARCHIMATE_MISMATCH": "ArchimateMismatch",
    "IMMUTABLE_FIELD": "ImmutableField",
    "JUSTIFICATION_REQUIRED": "JustificationRequired",
    "APPROVAL_REQUIRED": "ApprovalRequired",
    "DELETE_BLOCKED": "DeleteBlocked",
    "TOO_LARGE": "TooLarge",
}

app, edge = World.application, World.relation
APPLICATION, RELATION = app("Shop"), edge("application/a", "calls", "application/b")


def parsed(kind: str, spec: dict[str, Any]) -> set[str]:
    return {line.split()[0] for line in complaints(kind, spec)}


def waiting(terminating: bool) -> set[str]:
    world = World()
    gone = frozenset({place(world, "BusinessCapability", "sell")}) if terminating else frozenset()
    spec = APPLICATION | {"capabilityId": "sell" if terminating else "nowhere"}
    decision = world.decide("Application", "shop", spec, pending=Pending(terminating=gone))
    return {error.code.value for error in errors_of(decision)}


def strictly(**fields: Any) -> set[str]:
    world = World()
    place(world, "Application", "shop", APPLICATION)
    world.policy = Policy.strict(KINDS)
    return codes_of(world.decide("Application", "shop", APPLICATION | fields))


def deletion(policy: Policy, *, named: bool) -> set[str]:
    world = World()
    place(world, "Application", "a", APPLICATION)
    place(world, "Application", "b", app("Other"))
    if named:
        world.apply("Relation", "edge", RELATION)
    world.policy = policy
    return codes_of(world.decide_deletion("Application", "a"))


def taken() -> set[str]:
    world = World()
    place(world, "Application", "first", APPLICATION)
    world.apply("Application", "other", app("Another"))
    return codes_of(world.decide("Application", "second", APPLICATION | {"name": "Another"}))


def moved_end() -> set[str]:
    world = World()
    for name in "abc":
        place(world, "Application", name, app(name))
    place(world, "Relation", "edge", RELATION)
    return codes_of(change(world, "Relation", "edge", RELATION | {"targetId": "c"}))


def own_parent() -> set[str]:
    return codes_of(World().decide("Organization", "it", {"name": "It", "parentId": "it"}))


RAISED: dict[str, Callable[[], set[str]]] = {
    "REQUIRED": lambda: parsed("Organization", {}),
    "FORMAT": lambda: parsed("Organization", {"name": 1}),
    "RANGE": lambda: parsed("Organization", {"name": "x" * 256}),
    "CONSTRAINT_VIOLATED": lambda: parsed(
        "Application", APPLICATION | {"sunsetDate": "2026-01-01"}
    ),
    "CIRCULAR_REFERENCE": own_parent,
    "INVALID_STATE_TRANSITION": lambda: strictly(lifecycle="planned"),
    "ALREADY_EXISTS": taken,
    "REFERENCE_NOT_FOUND": lambda: waiting(terminating=False),
    "REFERENCE_TERMINATING": lambda: waiting(terminating=True),
    "RELATION_NOT_ALLOWED": lambda: parsed("Relation", RELATION | {"relationType": "owns"}),
    "SELF_RELATION": lambda: parsed("Relation", RELATION | {"targetId": "a"}),
    "ARCHIMATE_MISMATCH": lambda: parsed(
        "Relation", RELATION | {"archimateRelationship": "Access"}
    ),
    "IMMUTABLE_FIELD": moved_end,
    "JUSTIFICATION_REQUIRED": lambda: strictly(criticality="low"),
    "APPROVAL_REQUIRED": lambda: deletion(Policy(require_approval=frozenset(KINDS)), named=False),
    "DELETE_BLOCKED": lambda: deletion(Policy(), named=True),
    "TOO_LARGE": lambda: parsed(
        "Server", MINIMAL["Server"] | {"tags": [f"t{n}" for n in range(51)]}
    ),
}


def test_these_codes_there_are() -> None:
    assert {code.value: code.reason for code in Code} == REASONS


@pytest.mark.parametrize("code", REASONS)
def test_a_code_is_raised(code: str) -> None:
    assert RAISED[code]() == {code}
