"""The relay on in-memory store, checkpoints and broker."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.publishing.support import (
    QUICK,
    Writer,
    arrivals,
    assert_complete_and_ordered,
    crash,
    lowest_position,
    make_relay,
    running,
    stream,
    until,
)

from eatool.publishing.breaker import CircuitState
from eatool.publishing.checkpoints import Claim, Cursor
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.memory import MemoryBroker, MemoryPublisher
from eatool.publishing.observer import NullObserver
from eatool.publishing.port import (
    Message,
    PublishError,
    TransientPublishError,
)
from eatool.store.memory import MemoryEventStore
from eatool.store.port import StoreUnavailable


async def test_everything_arrives_in_order_and_is_written_down(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    writer.write(map(stream, range(40)), rounds=5)
    relay = make_relay(store, broker.publisher, checkpoints)
    async with running(relay):
        await until(lambda: len(broker.delivered) == 200)
        writer.write(map(stream, range(40)), rounds=2)
        await until(lambda: len(broker.delivered) == 280)
        await until(lambda: relay.status().lag_events == 0)
    assert assert_complete_and_ordered(arrivals(broker.delivered), writer.versions) == 0
    assert lowest_position(checkpoints) == 280
    assert all(cursor.owner is None for cursor in checkpoints.cursors("test"))


async def test_one_event_of_a_stream_in_flight_and_many_streams(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.hold()
    writer.write(map(stream, range(30)), rounds=4)
    relay = make_relay(store, broker.publisher, checkpoints, window=20)
    async with running(relay):
        await until(lambda: len(broker.outstanding) == 20)
        assert len({message.stream_id for message in broker.outstanding}) == 20
        assert relay.status().in_flight == 20
        broker.release()
        await until(lambda: len(broker.delivered) == 120)
    assert broker.highest_in_flight == 20
    assert assert_complete_and_ordered(arrivals(broker.delivered), writer.versions) == 0


async def test_checkpoint_stops_before_the_lowest_unacknowledged_event(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    writer.write([stream(1)])
    writer.write(map(stream, range(2, 50)))

    def slow_first(message: Message) -> PublishError | None:
        return TransientPublishError("not now") if message.stream_id == stream(1) else None

    broker.verdict = slow_first
    relay = make_relay(store, broker.publisher, checkpoints)
    async with running(relay):
        await until(lambda: len(broker.delivered) >= 40)
        await asyncio.sleep(0.1)
        partition = store.read_stream(stream(1))[0].partition
        assert checkpoints.cursors("test")[partition].position == 0
        broker.verdict = lambda _message: None
        await until(lambda: len(broker.delivered) == 49)
    assert lowest_position(checkpoints) == 49


async def test_crash_resends_the_unwritten_with_the_same_ids(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    writer.write(map(stream, range(20)), rounds=3)
    silent = make_relay(store, broker.publisher, _Forgetful(checkpoints))
    task = asyncio.create_task(silent.run())
    await until(lambda: len(broker.delivered) == 60)
    await crash(task)
    assert lowest_position(checkpoints) == 0
    relay = make_relay(store, broker.publisher, checkpoints)
    async with running(relay):
        await until(lambda: len(broker.delivered) == 120)
    assert assert_complete_and_ordered(arrivals(broker.delivered), writer.versions) == 60
    first, again = arrivals(broker.delivered)[:60], arrivals(broker.delivered)[60:]
    assert sorted(first) == sorted(again)


class _Forgetful(MemoryCheckpoints):
    """Checkpoints whose saves are lost, as after a crash before the flush."""

    def __init__(self, real: MemoryCheckpoints) -> None:
        super().__init__()
        self.__dict__.update(real.__dict__)

    def save(self, destination: str, owner: str, cursors: object) -> frozenset[int]:
        return frozenset()


async def test_lost_session_is_rebuilt_and_nothing_counts_against_events(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.hold()
    writer.write(map(stream, range(30)), rounds=3)
    relay = make_relay(store, broker.publisher, checkpoints)
    async with running(relay):
        for _ in range(15):
            await until(lambda: bool(broker.outstanding))
            broker.drop()
            await until(lambda: not broker.outstanding)
        broker.stop()
        await until(lambda: relay.status().circuit is CircuitState.OPEN)
        assert not relay.status().connected
        assert relay.status().last_error is not None
        broker.release()
        broker.start()
        await until(lambda: len(broker.delivered) == 90)
        await until(lambda: relay.status().circuit is CircuitState.CLOSED)
        assert relay.status().parked == 0
        assert relay.status().last_error is None
    assert assert_complete_and_ordered(arrivals(broker.delivered), writer.versions) == 0


async def test_half_open_circuit_sends_one_head_message(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.hold()
    writer.write(map(stream, range(10)))
    relay = make_relay(store, broker.publisher, checkpoints)
    async with running(relay):
        await until(lambda: len(broker.outstanding) == 10)
        broker.drop()
        await until(lambda: bool(broker.outstanding))
        await asyncio.sleep(0.05)
        assert [message.stream_id for message in broker.outstanding] == [stream(0)]
        broker.release()
        await until(lambda: len(broker.delivered) == 10)


async def test_silent_session_is_given_up(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.hold()
    writer.write([stream(1)])
    relay = make_relay(store, broker.publisher, checkpoints)
    async with running(relay):
        await until(lambda: broker.connections == 2)
        broker.release()
        await until(lambda: len(broker.delivered) == 1)


async def test_transient_refusals_open_the_circuit_and_park_nothing(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    asked = 0

    def short_of_quota(_message: Message) -> PublishError | None:
        nonlocal asked
        asked += 1
        return TransientPublishError("quota exceeded") if asked <= 40 else None

    broker.verdict = short_of_quota
    writer.write(map(stream, range(12)))
    relay = make_relay(store, broker.publisher, checkpoints)
    async with running(relay):
        await until(lambda: relay.status().circuit is not CircuitState.CLOSED)
        await until(lambda: len(broker.delivered) == 12)
    assert checkpoints.parked("test") == []
    assert broker.connections == 1
    assert_complete_and_ordered(arrivals(broker.delivered), writer.versions)


async def test_lost_session_is_one_failure_however_much_was_in_flight(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    failures: list[str] = []

    class Watching(NullObserver):
        def failed(self, reason: str) -> None:
            failures.append(reason)

    broker = MemoryBroker()
    broker.hold()
    writer.write(map(stream, range(30)))
    relay = make_relay(store, broker.publisher, checkpoints, observer=Watching())
    async with running(relay):
        await until(lambda: len(broker.outstanding) == 30)
        broker.drop()
        broker.release()
        await until(lambda: len(broker.delivered) == 30)
    assert failures == ["session"]


async def test_outage_of_the_database_is_survived(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    away = threading.Event()
    broker = MemoryBroker()
    relay = make_relay(
        _Failing(store, away), broker.publisher, _Failing(checkpoints, away),
        options=replace(QUICK, lease=0.3),
    )  # fmt: skip
    async with running(relay):
        writer.write(map(stream, range(20)))
        await until(lambda: len(broker.delivered) == 20)
        away.set()
        writer.write(map(stream, range(20)))
        await until(lambda: relay.status().last_error is not None)
        await asyncio.sleep(0.5)  # longer than the lease
        away.clear()
        await until(lambda: len(set(arrivals(broker.delivered))) == 40)
        await until(lambda: relay.status().last_error is None)
        await until(lambda: lowest_position(checkpoints) == 40)
    assert_complete_and_ordered(arrivals(broker.delivered), writer.versions)


class _Failing:
    """Anything that uses the database, while it is away."""

    def __init__(self, real: object, away: threading.Event) -> None:
        self._real, self._away = real, away

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._away.is_set() and name != "on_append":
                raise StoreUnavailable("away")
            return method(*args, **kwargs)

        return call


async def test_stop_leaves_no_lease_behind_even_in_the_middle_of_a_claim(
    store: MemoryEventStore,
) -> None:
    claiming = threading.Event()

    class Slow(MemoryCheckpoints):
        def claim(self, destination: str, owner: str, *, lease: float, start: int = 0) -> Claim:
            claiming.set()
            time.sleep(0.2)
            return super().claim(destination, owner, lease=lease, start=start)

    checkpoints = Slow()
    async with running(make_relay(store, MemoryBroker().publisher, checkpoints)):
        await until(claiming.is_set)
    await asyncio.sleep(0.3)
    assert {cursor.owner for cursor in checkpoints.cursors("test")} <= {None}


async def test_second_relay_takes_over_half_and_order_holds(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    first = make_relay(store, broker.publisher, checkpoints)
    second = make_relay(store, broker.publisher, checkpoints)
    async with running(first):
        writer.write(map(stream, range(200)), rounds=2)
        await until(lambda: first.status().partitions == 64)
        async with running(second):
            for _ in range(10):
                writer.write(map(stream, range(200)))
                await asyncio.sleep(0.05)
            await until(lambda: second.status().partitions == 32)
            await until(lambda: first.status().partitions == 32)
            writer.write(map(stream, range(200)))
            await until(lambda: len(set(arrivals(broker.delivered))) == writer.total)
        await until(lambda: first.status().partitions == 64)
        writer.write(map(stream, range(200)))
        await until(lambda: len(set(arrivals(broker.delivered))) == writer.total)
    assert_complete_and_ordered(arrivals(broker.delivered), writer.versions)


async def test_paused_owner_cannot_write_checkpoints_any_more(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    checkpoints = MemoryCheckpoints(clock=lambda: now)
    (stale,) = (c for c in checkpoints.claim("test", "paused", lease=15).held if c.partition == 7)
    now += timedelta(seconds=16)
    (fresh,) = (c for c in checkpoints.claim("test", "next", lease=15).held if c.partition == 7)
    assert fresh.epoch > stale.epoch
    late = Cursor(7, 99, stale.epoch)
    assert checkpoints.save("test", "paused", [late]) == {7}
    assert checkpoints.cursors("test")[7].position == 0


async def test_relay_that_slept_past_its_lease_gives_up_before_sending(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    now = 0.0
    broker = MemoryBroker()
    relay = make_relay(store, broker.publisher, checkpoints, clock=lambda: now)
    async with running(relay):
        await until(lambda: relay.status().connected and relay.status().partitions == 64)
        now += 100.0
        writer.write([stream(1)])
        await until(lambda: relay.status().partitions == 0)
        assert broker.delivered == []
        await until(lambda: len(broker.delivered) == 1)
    assert {cursor.epoch for cursor in checkpoints.cursors("test")} == {2}


async def test_messages_under_way_when_the_lease_passes_on_arrive_as_repeats_only(
    store: MemoryEventStore, writer: Writer
) -> None:
    """The old owner's messages reach the broker after its successor's, and are acknowledged."""
    wall = datetime(2026, 1, 1, tzinfo=UTC)
    monotonic = 0.0
    checkpoints = MemoryCheckpoints(clock=lambda: wall)
    broker = MemoryBroker()
    held: list[Callable[[], None]] = []
    delaying = True

    class Delayed(MemoryPublisher):
        def publish(self, message: Message) -> asyncio.Future[None]:
            if not delaying:
                return super().publish(message)
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def arrive() -> None:
                broker.delivered.append(message)
                answer.set_result(None)

            held.append(arrive)
            return answer

    writer.write(map(stream, range(8)), rounds=3)
    patient = replace(QUICK, ack_timeout=60.0)
    old = make_relay(
        store, lambda: Delayed(broker), checkpoints, clock=lambda: monotonic, options=patient
    )
    async with running(old):
        await until(lambda: len(held) == 8)
        wall += timedelta(seconds=100)  # the others' clock: its lease is over
        async with running(make_relay(store, broker.publisher, checkpoints)) as (new,):
            await until(lambda: len(broker.delivered) == 24)
            monotonic += 100.0
            for arrive in held:
                arrive()
            await until(lambda: old.status().in_flight == 0)
            assert len(held) == 8, "the old owner sent more than it had under way"
            delaying = False
            writer.write(map(stream, range(8)))
            await until(lambda: len(set(arrivals(broker.delivered))) == 32)
            assert new.status().partitions >= 32
    assert assert_complete_and_ordered(arrivals(broker.delivered), writer.versions) >= 8


async def test_start_position_skips_history(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    writer.write([stream(1)], rounds=3)
    options = replace(QUICK, start=store.head().position)
    async with running(make_relay(store, broker.publisher, checkpoints, options=options)):
        writer.write([stream(1)])
        await until(lambda: len(broker.delivered) == 1)
    assert arrivals(broker.delivered)[0][1] == 4
