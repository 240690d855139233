"""When the ``Published`` condition says what, and how many writes it asks for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from eatool.domain.identity import EntityRef
from eatool.domain.kinds import by_kind
from eatool.kube import published
from eatool.kube.published import Publication
from eatool.publishing.checkpoints import CursorState, ParkedStream
from eatool.publishing.required import RequiredBrokers
from eatool.publishing.selection import EVERYTHING, Selection
from eatool.store.encoding import partition_of
from eatool.store.port import PARTITIONS, StoreUnavailable

REF = by_kind("Server").ref("default", "db-1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Brokers:
    """Checkpoints as the relays of some processes have written them."""

    positions: dict[str, int] = field(default_factory=dict)
    parked_streams: dict[str, list[ParkedStream]] = field(default_factory=dict)
    away: bool = False

    def cursors(self, destination: str) -> list[CursorState]:
        if self.away:
            raise StoreUnavailable("away")
        position = self.positions.get(destination)
        if position is None:
            return []
        return [CursorState(each, position, 1, None, None) for each in range(PARTITIONS)]

    def parked(self, destination: str, partitions: object = None) -> list[ParkedStream]:
        return self.parked_streams.get(destination, [])

    def park(self, destination: str, ref: EntityRef, first_position: int) -> None:
        partition = partition_of(ref.stream_id)
        row = ParkedStream(ref.stream_id, partition, first_position, 1, "too large", 1, NOW)
        self.parked_streams[destination] = [row]


class Objects:
    """Statuses as a reconcile would write them."""

    def __init__(self, brokers: Brokers, **selections: Selection) -> None:
        self.required = RequiredBrokers()
        self.required.replace(selections)
        self.now = 0.0
        self.status: dict[str, Any] = {}
        self.writes = 0
        self.publication = self.restarted(brokers)

    def restarted(self, brokers: Brokers) -> Publication:
        self.publication = Publication(
            self.required, brokers, self.reconcile, clock=lambda: self.now
        )
        return self.publication

    def record(self, position: int) -> None:
        """A change is in the log at ``position``."""
        self.status_write({"position": position})

    def reconcile(self, _ref: EntityRef = REF) -> None:
        """Nothing to record."""
        self.status_write({"position": self.status["position"]})

    def status_write(self, known: dict[str, Any]) -> None:
        ready = {"type": "Ready", "status": "True"}
        wanted = {"observedGeneration": 1, "conditions": [ready], **known}
        status = self.publication.told(REF, self.status, wanted, NOW)
        if status != self.status:
            self.status = status
            self.writes += 1
        self.publication.written(REF)

    @property
    def told(self) -> tuple[str, str, str] | None:
        for condition in self.status["conditions"]:
            if condition["type"] == "Published":
                return condition["status"], condition["reason"], condition["message"]
        return None

    @contextmanager
    def following(self) -> Iterator[None]:
        task = asyncio.create_task(self.publication.run())
        try:
            yield
        finally:
            task.cancel()


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "_POLL_MIN", 0.001)
    monkeypatch.setattr(published, "_POLL_MAX", 0.001)


async def eventually(objects: Objects, told: Sequence[str] | None) -> None:
    async with asyncio.timeout(5):
        while (objects.told if told is None else (objects.told or ())[:2]) != (
            None if told is None else tuple(told)
        ):
            await asyncio.sleep(0.002)


async def test_published_when_the_slowest_required_broker_has_it() -> None:
    brokers = Brokers({"fast": 0, "slow": 0})
    objects = Objects(brokers, fast=EVERYTHING, slow=EVERYTHING)
    with objects.following():
        objects.record(7)
        assert objects.told == ("False", "Pending", "Waiting for fast, slow")
        brokers.positions["fast"] = 9
        await asyncio.sleep(0.05)
        assert objects.told == ("False", "Pending", "Waiting for fast, slow")
        brokers.positions["slow"] = 7
        await eventually(objects, ("True", "Acknowledged"))
    assert objects.told == ("True", "Acknowledged", "Acknowledged by fast, slow")
    assert objects.writes == 2, "one with the change, one for the condition"
    assert not len(objects.publication)


async def test_a_long_wait_names_the_broker_that_is_missing() -> None:
    brokers = Brokers({"fast": 0, "slow": 0})
    objects = Objects(brokers, fast=EVERYTHING, slow=EVERYTHING)
    with objects.following():
        objects.record(7)
        brokers.positions["fast"] = 9
        objects.now = 60.0
        async with asyncio.timeout(5):
            while objects.told != ("False", "Pending", "Waiting for slow"):
                await asyncio.sleep(0.002)
    assert objects.writes == 2


async def test_no_condition_without_a_required_broker_that_is_sent_the_entity() -> None:
    brokers = Brokers({"others": 0})
    objects = Objects(brokers, others=Selection(aggregate_types=frozenset({"application"})))
    objects.record(7)
    assert objects.told is None
    assert not len(objects.publication)


async def test_the_last_required_broker_takes_the_condition_with_it() -> None:
    brokers = Brokers({"mqtt": 0})
    objects = Objects(brokers, mqtt=EVERYTHING)
    with objects.following():
        objects.record(7)
        objects.required.replace({})
        objects.reconcile()
    assert objects.told is None
    assert not len(objects.publication)


async def test_the_last_required_broker_gone_while_its_answer_is_awaited() -> None:
    objects = Objects(Brokers({"mqtt": 0}), mqtt=EVERYTHING)
    with objects.following():
        objects.record(7)
        objects.required.replace({})
        await eventually(objects, None)
    assert not len(objects.publication)


async def test_a_broker_that_takes_the_place_of_another_is_waited_for() -> None:
    brokers = Brokers({"old": 0, "new": 0})
    objects = Objects(brokers, old=EVERYTHING)
    with objects.following():
        objects.record(7)
        objects.required.replace({"new": EVERYTHING})
        brokers.positions["old"] = 7
        await asyncio.sleep(0.05)
        assert (objects.told or ())[:2] == ("False", "Pending")
        brokers.positions["new"] = 7
        await eventually(objects, ("True", "Acknowledged"))
    assert objects.told == ("True", "Acknowledged", "Acknowledged by new")


async def test_a_broker_that_begins_later_has_what_it_is_not_to_be_sent() -> None:
    """Its cursors stand at its start from the moment it is seen, suspended or not."""
    brokers = Brokers()
    objects = Objects(brokers, latest=EVERYTHING)
    with objects.following():
        objects.record(7)
        assert objects.told == ("False", "Pending", "Waiting for latest")
        brokers.positions["latest"] = 7
        await eventually(objects, ("True", "Acknowledged"))
        objects.record(8)
        await asyncio.sleep(0.05)
        assert objects.told == ("False", "Pending", "Waiting for latest")


async def test_a_broker_that_is_added_costs_no_write_to_what_is_published() -> None:
    brokers = Brokers({"mqtt": 7, "added": 0})
    objects = Objects(brokers, mqtt=EVERYTHING)
    with objects.following():
        objects.record(7)
        await eventually(objects, ("True", "Acknowledged"))
        writes = objects.writes
        objects.required.replace({"mqtt": EVERYTHING, "added": EVERYTHING})
        objects.reconcile()
        await asyncio.sleep(0.05)
    assert objects.writes == writes


async def test_the_loop_runs_on_while_very_many_are_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judging, go_on = threading.Event(), threading.Event()
    judge = published._judge

    def slow(*arguments: Any) -> Any:
        judging.set()
        go_on.wait(5)
        return judge(*arguments)

    monkeypatch.setattr(published, "_judge", slow)
    brokers = Brokers({"mqtt": 7})
    objects = Objects(brokers, mqtt=EVERYTHING)
    with objects.following():
        objects.record(7)
        while not judging.is_set():
            await asyncio.sleep(0.002)
        objects.record(9)  # while the verdict on the event before it is on its way
        go_on.set()
        await asyncio.sleep(0.05)
        assert objects.told == ("False", "Pending", "Waiting for mqtt")


async def test_parked_and_released() -> None:
    brokers = Brokers({"mqtt": 0})
    objects = Objects(brokers, mqtt=EVERYTHING)
    with objects.following():
        brokers.park("mqtt", REF, 7)
        brokers.positions["mqtt"] = 7
        objects.record(7)
        await eventually(objects, ("False", "Parked"))
        brokers.parked_streams.clear()
        await eventually(objects, ("True", "Acknowledged"))


async def test_an_event_before_the_parked_one_is_published() -> None:
    brokers = Brokers({"mqtt": 7})
    brokers.park("mqtt", REF, 8)
    objects = Objects(brokers, mqtt=EVERYTHING)
    with objects.following():
        objects.record(7)
        await eventually(objects, ("True", "Acknowledged"))


async def test_a_restart_writes_nothing_that_is_true_already() -> None:
    brokers = Brokers({"mqtt": 7})
    objects = Objects(brokers, mqtt=EVERYTHING)
    with objects.following():
        objects.record(7)
        await eventually(objects, ("True", "Acknowledged"))
    writes = objects.writes
    objects.restarted(brokers)
    objects.reconcile()
    assert objects.writes == writes
    assert not len(objects.publication), "nothing to follow"


async def test_a_restart_during_an_outage_writes_nothing_until_it_is_over() -> None:
    brokers = Brokers({"mqtt": 0})
    objects = Objects(brokers, mqtt=EVERYTHING)
    objects.record(7)
    writes = objects.writes
    objects.restarted(brokers)
    with objects.following():
        objects.reconcile()
        await asyncio.sleep(0.05)
        assert objects.writes == writes
        brokers.positions["mqtt"] = 7
        await eventually(objects, ("True", "Acknowledged"))
    assert objects.writes == writes + 1


async def test_the_first_required_broker_costs_one_write_for_what_it_has() -> None:
    brokers = Brokers({"mqtt": 9})
    objects = Objects(brokers)
    objects.record(7)
    objects.required.replace({"mqtt": EVERYTHING})
    with objects.following():
        objects.reconcile()
        assert objects.told is None
        await eventually(objects, ("True", "Acknowledged"))
    assert objects.writes == 2


async def test_a_change_while_the_last_one_is_on_its_way() -> None:
    brokers = Brokers({"mqtt": 0})
    objects = Objects(brokers, mqtt=EVERYTHING)
    with objects.following():
        objects.record(7)
        objects.record(9)
        brokers.positions["mqtt"] = 8
        await asyncio.sleep(0.05)
        assert objects.told == ("False", "Pending", "Waiting for mqtt")
        brokers.positions["mqtt"] = 9
        await eventually(objects, ("True", "Acknowledged"))


async def test_an_outage_of_the_database_ends_nothing() -> None:
    brokers = Brokers({"mqtt": 7}, away=True)
    objects = Objects(brokers, mqtt=EVERYTHING)
    with objects.following():
        objects.record(7)
        await asyncio.sleep(0.05)
        assert objects.told == ("False", "Pending", "Waiting for mqtt")
        brokers.away = False
        await eventually(objects, ("True", "Acknowledged"))


async def test_a_broker_that_never_ran_has_nothing() -> None:
    brokers = Brokers()
    objects = Objects(brokers, new=EVERYTHING)
    with objects.following():
        objects.record(7)
        await asyncio.sleep(0.05)
    assert objects.told == ("False", "Pending", "Waiting for new")


async def test_what_is_gone_is_not_followed() -> None:
    objects = Objects(Brokers(), mqtt=EVERYTHING)
    objects.record(7)
    objects.publication.forget(REF)
    assert not len(objects.publication)
