"""State machines, step by step: strict where the site says so, and any step where it does not."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from tests.domain.facts.book import KINDS, codes_of, place
from tests.domain.samples import MINIMAL
from tests.domain.world import World

from eatool.domain.kinds import KINDS as DECLARED
from eatool.domain.policies import Policy

STATES = {kind: dict(facts["states"]) for kind, facts in KINDS.items() if "states" in facts}
STEPS = [
    (kind, old, new, states[old].get(new, True))
    for kind, states in STATES.items()
    for old, new in product(states, repeat=2)
    if "field" not in (old, new)
]


def go(kind: str, old: str, new: str, policy: Policy, **request: Any) -> set[str]:
    world, field = World(), STATES[kind]["field"]
    place(world, "Application", "legacy-erp")
    place(world, kind, "it", MINIMAL[kind] | {field: old})
    world.policy = policy
    return codes_of(world.decide(kind, "it", MINIMAL[kind] | {field: new}, **request))


@pytest.mark.parametrize(("kind", "old", "new", "allowed"), STEPS)
def test_a_step(kind: str, old: str, new: str, allowed: object) -> None:
    strict = Policy(strict_lifecycle=frozenset(DECLARED))
    refused = {"INVALID_STATE_TRANSITION"}
    why, override = {"reason": "still needed"}, {"override": "reactivate"}
    assert go(kind, old, new, strict, **why) == (set() if allowed is True else refused)
    assert go(kind, old, new, strict, **why, **override) == (set() if allowed else refused)
    assert go(kind, old, new, strict, **why, override="resurrect") == (
        set() if allowed is True else refused
    )
    without_reason = {"JUSTIFICATION_REQUIRED"} if allowed == "override" else refused
    assert go(kind, old, new, strict, **override) == (set() if allowed is True else without_reason)
    assert go(kind, old, new, Policy()) == set(), "off by default"


def test_the_machines_are_complete() -> None:
    assert {kind: states["field"] for kind, states in STATES.items()} == {
        "Application": "lifecycle",
        "ApplicationInterface": "status",
    }
    assert len(STEPS) == 4 * 4 + 3 * 3


@pytest.mark.parametrize(("kind", "state"), sorted({(kind, old) for kind, old, *_ in STEPS}))
def test_any_state_may_be_the_first(kind: str, state: str) -> None:
    world, field = World(policy=Policy.strict(DECLARED)), STATES[kind]["field"]
    place(world, "Application", "legacy-erp")
    world.apply(kind, "it", MINIMAL[kind] | {field: state})
