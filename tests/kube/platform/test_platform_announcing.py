"""Which Kubernetes events brokers cause, and how rarely."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from tests.kube.platform.looks import BROKER

from eatool.kube.platform.announcing import PlatformAnnouncer


class Events:
    def __init__(self) -> None:
        self.posted: list[tuple[str, str, str]] = []

    async def post_event(self, namespace: str, event: dict[str, Any]) -> object:
        assert namespace == "ops"
        self.posted.append((event["type"], event["reason"], event["note"]))
        return event


def saying(status: str, reason: str) -> dict[str, Any]:
    ready = {"type": "Ready", "status": status, "reason": reason, "message": f"so {reason}"}
    return {**BROKER, "status": {"conditions": [ready]}}


async def test_trouble_and_its_end_are_announced_once_a_minute() -> None:
    events, now = Events(), 0.0
    announce = PlatformAnnouncer(events, lambda: now)
    good, bad = saying("True", "Publishing"), saying("False", "ConnectionFailed")
    for _ in range(5):
        for before, after in ((good, bad), (bad, bad), (bad, good), (good, good)):
            announce(before, after)
        now += 10
    await asyncio.sleep(0)
    warning = ("Warning", "ConnectionFailed", "so ConnectionFailed")
    normal = ("Normal", "Publishing", "so Publishing")
    assert events.posted == [warning, normal]
    now += 60
    announce(good, bad)
    await asyncio.sleep(0)
    assert events.posted == [warning, normal, warning]


async def test_what_goes_as_planned_is_not_announced() -> None:
    events = Events()
    announce = PlatformAnnouncer(events)
    steps = [
        BROKER,
        saying("False", "Connecting"),
        saying("True", "Publishing"),
        saying("True", "Suspended"),
        saying("False", "Connecting"),
        saying("True", "Publishing"),
    ]
    for before, after in itertools.pairwise(steps):
        announce(before, after)
    await asyncio.sleep(0)
    assert events.posted == []


async def test_many_parked_entities_are_one_event() -> None:
    events = Events()
    PlatformAnnouncer(events).parked(BROKER, 40, "server/a/b is not sent any more: too large")
    await asyncio.sleep(0)
    ((severity, reason, note),) = events.posted
    assert (severity, reason) == ("Warning", "StreamParked")
    assert note == "server/a/b is not sent any more: too large and 39 more"
