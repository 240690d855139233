"""Kubernetes events: on transitions only, and never in the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.kube.objects_for_tests import server

from eatool.kube.announcing import Announcer


class Events:
    """Takes events; ``broken``: refuses them."""

    def __init__(self, *, broken: bool = False) -> None:
        self.posted: list[dict[str, Any]] = []
        self.broken = broken

    async def post_event(self, namespace: str, event: dict[str, Any]) -> object:
        if self.broken:
            raise RuntimeError("no")
        assert namespace == event["regarding"]["namespace"]
        self.posted.append(event)
        return event


def told(status: str | None, reason: str = "R", message: str = "m") -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": status, "reason": reason, "message": message}]
    return server(status={"conditions": conditions if status else []})


FRESH, READY = told(None), told("True", "Recorded")
WAITING, REFUSED = told("False", "ReferenceNotFound"), told("False", "AlreadyExists")
OUTAGE = told("Unknown", "StoreUnavailable")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (FRESH, READY, []),
        (READY, READY, []),
        (FRESH, REFUSED, [("Warning", "AlreadyExists")]),
        (FRESH, WAITING, []),
        (WAITING, READY, []),
        (REFUSED, REFUSED, []),
        (REFUSED, told("False", "CircularReference"), [("Warning", "CircularReference")]),
        (WAITING, REFUSED, [("Warning", "AlreadyExists")]),
        (REFUSED, READY, [("Normal", "Recorded")]),
        (READY, OUTAGE, []),
        (OUTAGE, READY, []),
    ],
)
async def test_only_transitions_are_announced(
    before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    events = Events()
    Announcer(events)(before, after)
    await asyncio.sleep(0)
    assert [(event["type"], event["reason"]) for event in events.posted] == expected


@pytest.mark.parametrize(("message", "note"), [("x" * 5000, "x" * 1024), ("€" * 500, "€" * 341)])
async def test_a_long_message_fits_an_event(message: str, note: str) -> None:
    events = Events()
    Announcer(events)(FRESH, told("False", message=message))
    await asyncio.sleep(0)
    assert events.posted[0]["note"] == note


async def test_an_event_that_cannot_be_posted_is_only_logged() -> None:
    events = Events(broken=True)
    Announcer(events)(FRESH, REFUSED)
    await asyncio.sleep(0.01)
    assert events.posted == []
