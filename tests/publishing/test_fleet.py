"""Relays of one process side by side: none harms another, changes never cross."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.publishing.support import (
    QUICK,
    Writer,
    arrivals,
    assert_complete_and_ordered,
    refuse,
    stream,
    until,
)

from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.cloudevents import CloudEventsEncoder
from eatool.publishing.destination import Destination
from eatool.publishing.fleet import Fleet
from eatool.publishing.material import Material
from eatool.publishing.memory import MemoryBroker, MemoryPublisher
from eatool.publishing.observer import NullObserver, Observer
from eatool.publishing.port import Message, PermanentPublishError, PublisherFactory
from eatool.publishing.selection import EVERYTHING
from eatool.publishing.topics import TopicTemplate
from eatool.store.memory import MemoryEventStore


def destination(name: str, factory: PublisherFactory, **options: Any) -> Destination:
    encoder = CloudEventsEncoder(TopicTemplate())
    return Destination(name, factory, encoder, EVERYTHING, replace(QUICK, **options))


@asynccontextmanager
async def fleet_of(
    store: MemoryEventStore, checkpoints: MemoryCheckpoints, **overrides: Any
) -> AsyncIterator[Fleet]:
    arguments = {
        "owner": "pod-1",
        "observer_of": lambda _name: NullObserver(),
        "first_pause": 0.01,
        **overrides,
    }
    fleet = Fleet(store, checkpoints, **arguments)
    try:
        yield fleet
    finally:
        async with asyncio.timeout(10):
            await fleet.stop()


def position(checkpoints: MemoryCheckpoints, name: str) -> int:
    return min((cursor.position for cursor in checkpoints.cursors(name)), default=0)


async def test_a_publisher_that_never_answers_holds_up_nobody_else(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    class Deaf(MemoryPublisher):
        async def connect(self) -> None:
            await asyncio.Event().wait()

    silent, alive = MemoryBroker(), MemoryBroker()
    silent.hold()
    writer.write(map(stream, range(50)), rounds=4)
    async with fleet_of(store, checkpoints) as fleet:
        await fleet.put(destination("deaf", lambda: Deaf(MemoryBroker())), "1")
        await fleet.put(destination("silent", silent.publisher, ack_timeout=3600), "1")
        await fleet.put(destination("alive", alive.publisher), "1")
        await until(lambda: len(alive.delivered) == 200)
        assert_complete_and_ordered(arrivals(alive.delivered), writer.versions)
        await until(lambda: position(checkpoints, "alive") == 200)
        assert silent.delivered == []
        status = fleet.status("alive")
        assert status is not None
        assert status.leads
        assert fleet.names == {"deaf", "silent", "alive"}
    assert fleet.names == frozenset()
    assert {cursor.owner for cursor in checkpoints.cursors("silent")} == {None}


async def test_a_relay_that_fails_starts_again_and_the_others_do_not_notice(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    failures = 3
    made = {"healthy": 0, "failing": 0}

    class Failing(MemoryPublisher):
        async def connect(self) -> None:
            nonlocal failures
            if failures:
                failures -= 1
                raise RuntimeError("a value that must not be shown")
            await super().connect()

    def observer(name: str) -> Observer:
        made[name] += 1
        return NullObserver()

    broker, healthy = MemoryBroker(), MemoryBroker()
    async with fleet_of(store, checkpoints, observer_of=observer) as fleet:
        await fleet.put(destination("healthy", healthy.publisher), "1")
        await fleet.put(destination("failing", lambda: Failing(broker)), "1")
        writer.write(map(stream, range(10)))
        await until(lambda: len(healthy.delivered) == 10)
        await until(lambda: len(broker.delivered) == 10)
        assert made == {"healthy": 1, "failing": 4}
        status = fleet.status("failing")
        assert status is not None
        assert status.last_error == "RuntimeError: the relay failed and starts again"
        assert not fleet.finished("failing")


async def test_a_replaced_relay_goes_on_from_its_checkpoint(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    old, new = MemoryBroker(), MemoryBroker()
    async with fleet_of(store, checkpoints) as fleet:
        await fleet.put(destination("events", old.publisher), "1")
        writer.write(map(stream, range(20)))
        await until(lambda: len(old.delivered) == 20)
        await fleet.put(destination("events", new.publisher), "1")
        assert old.connections == 1, "the same fingerprint: nothing happens"
        await fleet.put(destination("events", new.publisher), "2")
        assert old.outstanding == []
        writer.write(map(stream, range(20)))
        await until(lambda: len(new.delivered) == 20)
    assert len(old.delivered) == 20
    assert_complete_and_ordered(arrivals([*old.delivered, *new.delivered]), writer.versions)


async def test_a_pause_is_a_removal_that_forgets_nothing(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    writer.write(map(stream, range(100)))
    async with fleet_of(store, checkpoints) as fleet:
        options: dict[str, Any] = {"until": 100, "window": 5}
        await fleet.put(destination("replay/r", broker.publisher, **options), "1")
        await until(lambda: len(broker.delivered) >= 30)
        await fleet.remove("replay/r")
        assert fleet.status("replay/r") is None
        assert not fleet.finished("replay/r")
        sent = len(broker.delivered)
        writer.write(map(stream, range(100)))
        await asyncio.sleep(0.05)
        assert len(broker.delivered) == sent
        await fleet.put(destination("replay/r", broker.publisher, **options), "1")
        await until(lambda: fleet.finished("replay/r"))
        await fleet.remove("nothing of that name")
    assert_complete_and_ordered(arrivals(broker.delivered), dict.fromkeys(writer.versions, 1))
    assert len(broker.delivered) == 100, "an orderly pause repeats nothing"


async def test_changes_at_the_same_time_leave_the_last_one_and_one_relay(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    brokers = [MemoryBroker() for _ in range(8)]
    writer.write(map(stream, range(10)))
    async with fleet_of(store, checkpoints) as fleet:
        changes = []
        for number, broker in enumerate(brokers):
            changes.append(fleet.put(destination("events", broker.publisher), str(number)))
            if broker is not brokers[-1]:
                changes.append(fleet.remove("events"))
        await asyncio.gather(*changes)
        assert fleet.names == {"events"}
        writer.write(map(stream, range(10)))
        await until(lambda: sum(len(broker.delivered) for broker in brokers) == 20)
        sessions = [len(broker._sessions) for broker in brokers]
        assert sessions == [0] * 7 + [1]


async def test_a_put_that_is_cancelled_while_the_old_relay_drains_can_be_made_again(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    old, new = MemoryBroker(), MemoryBroker()
    old.hold()
    writer.write([stream(1)])
    async with fleet_of(store, checkpoints) as fleet:
        await fleet.put(destination("events", old.publisher, grace=0.2), "1")
        await until(lambda: len(old.outstanding) == 1)
        change = asyncio.create_task(fleet.put(destination("events", new.publisher), "2"))
        await asyncio.sleep(0.05)
        change.cancel()
        await asyncio.gather(change, return_exceptions=True)
        await fleet.put(destination("events", new.publisher), "1")
        await until(lambda: len(new.delivered) == 1)


async def test_a_publisher_that_cannot_be_closed_does_not_hold_up_the_stop(
    store: MemoryEventStore, checkpoints: MemoryCheckpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eatool.publishing.fleet._MARGIN", 0.05)
    released = asyncio.Event()

    class Clinging(MemoryPublisher):
        async def close(self) -> None:
            while not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    continue

    broker, other = MemoryBroker(), MemoryBroker()
    async with fleet_of(store, checkpoints) as fleet:
        await fleet.put(destination("clinging", lambda: Clinging(broker), grace=0.05), "1")
        await fleet.put(destination("other", other.publisher), "1")
        await until(lambda: broker.connections == 1)
        await fleet.remove("clinging")
        assert fleet.names == {"other"}
        released.set()


async def test_pauses_between_failures_double_and_are_drawn(
    store: MemoryEventStore, checkpoints: MemoryCheckpoints
) -> None:
    class Failing(MemoryPublisher):
        async def connect(self) -> None:
            raise RuntimeError("always")

    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return 0.0

    async with fleet_of(store, checkpoints, first_pause=8.0, uniform=uniform) as fleet:
        await fleet.put(destination("failing", lambda: Failing(MemoryBroker())), "1")
        await until(lambda: len(drawn) >= 6)
    assert drawn[:6] == [(0.0, most) for most in (8.0, 16.0, 32.0, 60.0, 60.0, 60.0)]


async def test_files_of_a_rotated_secret_go_with_the_relay_that_read_them(
    store: MemoryEventStore, checkpoints: MemoryCheckpoints, tmp_path: Path
) -> None:
    def with_files(key: bytes) -> Destination:
        material = Material(tmp_path / "pem")
        material.file(b"ca")
        material.file(key)
        return replace(destination("events", MemoryBroker().publisher), material=material)

    def contents() -> set[bytes]:
        return {path.read_bytes() for path in tmp_path.glob("pem/*")}

    async with fleet_of(store, checkpoints) as fleet:
        await fleet.put(with_files(b"old"), "1")
        rotated = with_files(b"new")
        assert contents() == {b"ca", b"old", b"new"}
        await fleet.put(rotated, "2")
        assert contents() == {b"ca", b"new"}
        again = with_files(b"newer")
        await fleet.remove("events")
        assert contents() == set()
        await fleet.put(again, "3")
        assert contents() == {b"ca", b"newer"}


async def test_changes_leave_nothing_behind_in_memory(
    store: MemoryEventStore, checkpoints: MemoryCheckpoints
) -> None:
    async with fleet_of(store, checkpoints) as fleet:
        for number in range(3):
            name = f"replay/{number}"
            await fleet.put(destination(name, MemoryBroker().publisher), "1")
            await fleet.remove(name)
        assert not fleet.names
        assert not fleet._locks


async def test_nothing_starts_after_the_stop(
    store: MemoryEventStore, checkpoints: MemoryCheckpoints
) -> None:
    async with fleet_of(store, checkpoints) as fleet:
        await fleet.stop()
        with pytest.raises(RuntimeError, match="stopped"):
            await fleet.put(destination("events", MemoryBroker().publisher), "1")


async def test_parked_streams_are_released_here_and_elsewhere(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = refuse(stream(1), PermanentPublishError("no"))
    writer.write([stream(1)])

    def refuse_nothing(_message: Message) -> None:
        return None

    async with fleet_of(store, checkpoints) as fleet:
        await fleet.put(destination("events", broker.publisher), "1")
        await until(lambda: len(checkpoints.parked("events")) == 1)
        await until(lambda: position(checkpoints, "events") == 1)
        broker.verdict = refuse_nothing
        assert not await fleet.unpark("events", stream(2))
        assert not await fleet.unpark("elsewhere", stream(1))
        assert await fleet.unpark("events", stream(1))
        await until(lambda: checkpoints.parked("events") == [])
        assert len(broker.delivered) == 1
