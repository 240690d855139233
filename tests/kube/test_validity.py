"""The condition InForce, through everything else that a status tells."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from tests.domain.world import World
from tests.kube.objects_for_tests import server

from eatool.domain.decision import EntityState
from eatool.domain.errors import Code, FieldError
from eatool.domain.kinds import by_kind
from eatool.domain.parsing import parse
from eatool.kube.status import (
    deletion_status_of,
    fault_status_of,
    paused_status_of,
    status_of,
)
from eatool.registry.folding import LastEvent
from eatool.registry.outcome import Queued, Refused, Unavailable, Unchanged, WrittenToLegacy

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NEXT_DAY = datetime(2026, 2, 1, tzinfo=UTC)
KIND = by_kind("Relation")
REF = KIND.ref("default", "edge")
LAST = LastEvent(UUID(int=7), "u1", 1, 42)
COMPLAINT = FieldError("spec.x", Code.FORMAT, "is odd")
AWAY, QUEUED = Unavailable("away", 5.0), Queued(UUID(int=1))


def unchanged(**window: str) -> Unchanged:
    spec = parse(KIND, World.relation("application/a", "calls", "application/b", **window))
    return Unchanged(EntityState(REF, 1, spec), LAST, effective=spec)


ENDING = unchanged(effectiveTo="2026-01-31T18:00:00Z")
REFUSED = Refused(ENDING.state, LAST, (COMPLAINT,), effective=ENDING.effective)


def in_force(status: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (each["status"], each["reason"], each["lastTransitionTime"])
        for each in status["conditions"]
        if each["type"] == "InForce"
    ]


TRUE = [("True", "WithinWindow", "2026-01-31T12:00:00Z")]
OVER = [("False", "Over", "2026-02-01T00:00:00Z")]


def test_it_follows_the_clock_and_goes_with_the_window() -> None:
    first = status_of(server(), ENDING, NOW)
    assert in_force(first) == TRUE
    later = status_of(server(status=first), ENDING, NEXT_DAY)
    assert in_force(later) == OVER
    assert in_force(status_of(server(status=later), REFUSED, NEXT_DAY)) == OVER
    assert in_force(status_of(server(status=later), unchanged(), NEXT_DAY)) == []


@pytest.mark.parametrize(
    "telling",
    [
        lambda body: status_of(body, AWAY, NEXT_DAY),
        lambda body: status_of(body, QUEUED, NEXT_DAY),
        lambda body: status_of(body, WrittenToLegacy(1), NEXT_DAY),
        lambda body: deletion_status_of(body, REFUSED, NEXT_DAY),
        lambda body: paused_status_of(body, NEXT_DAY),
        lambda body: fault_status_of(body, "f" * 32, NEXT_DAY),
    ],
)
def test_what_knows_nothing_of_it_leaves_it(telling: Callable[[Any], dict[str, Any]]) -> None:
    first = status_of(server(), ENDING, NOW)
    assert in_force(telling(server(status=first, generation=2))) == TRUE
