"""The relay on in-memory store, checkpoints and broker."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from tests.publishing.support import (
    QUICK,
    Writer,
    arrivals,
    assert_complete_and_ordered,
    crash,
    make_relay,
    running,
    stream,
    until,
)

from eatool.publishing.breaker import BreakerPolicy, CircuitState
from eatool.publishing.checkpoints import Claim, Cursor, ParkedStream
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.memory import MemoryBroker, MemoryPublisher, Verdict
from eatool.publishing.observer import NullObserver
from eatool.publishing.port import (
    Message,
    PermanentPublishError,
    PublishError,
    SessionLost,
    TransientPublishError,
)
from eatool.store.encoding import StoredEvent
from eatool.store.memory import MemoryEventStore
from eatool.store.port import StoreUnavailable


@pytest.fixture
def store() -> MemoryEventStore:
    return MemoryEventStore()


@pytest.fixture
def writer(store: MemoryEventStore) -> Writer:
    return Writer(store)


@pytest.fixture
def checkpoints() -> MemoryCheckpoints:
    return MemoryCheckpoints()


def position(checkpoints: MemoryCheckpoints) -> int:
    return min(cursor.position for cursor in checkpoints.cursors("test"))


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
    assert position(checkpoints) == 280
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
    assert position(checkpoints) == 49


async def test_crash_resends_the_unwritten_with_the_same_ids(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    writer.write(map(stream, range(20)), rounds=3)
    silent = make_relay(store, broker.publisher, _Forgetful(checkpoints))
    task = asyncio.create_task(silent.run())
    await until(lambda: len(broker.delivered) == 60)
    await crash(task)
    assert position(checkpoints) == 0
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


async def test_permanent_refusal_parks_its_stream_only(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = _refuse(stream(3), PermanentPublishError("topic is not allowed"))
    writer.write(map(stream, range(10)), rounds=4)
    relay = make_relay(store, broker.publisher, checkpoints)
    async with running(relay):
        await until(lambda: len(broker.delivered) == 36)
        await until(lambda: relay.status().lag_events == 0)
        assert relay.status().parked == 1
    (parked,) = checkpoints.parked("test")
    assert (parked.stream_id, parked.first_version, parked.attempts) == (stream(3), 1, 1)
    assert parked.first_position == store.read_stream(stream(3))[0].position
    assert parked.reason == "topic is not allowed"
    assert position(checkpoints) == 40


async def test_unclear_refusals_park_after_the_last_attempt(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = _refuse(stream(0), PublishError("unspecified error"))
    writer.write(map(stream, range(3)))
    given_up: list[tuple[str, str]] = []

    class Watching(NullObserver):
        def given_up(self, event: StoredEvent, reason: str) -> None:
            given_up.append((event.stream_id, reason))

    relay = make_relay(store, broker.publisher, checkpoints, observer=Watching())
    async with running(relay):
        await until(lambda: relay.status().parked == 1)
        await until(lambda: len(checkpoints.parked("test")) == 1)
    assert checkpoints.parked("test")[0].attempts == 10
    assert given_up == [(stream(0), "refused")], "once, not once an attempt"


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


async def test_unparking_sends_what_was_passed_over_then_goes_on(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = _refuse(stream(3), PermanentPublishError("refused"))
    writer.write(map(stream, range(6)), rounds=3)
    relay = make_relay(store, broker.publisher, checkpoints)
    async with running(relay):
        await until(lambda: len(checkpoints.parked("test")) == 1)
        writer.write(map(stream, range(6)), rounds=2)
        await until(lambda: len(broker.delivered) == 25)
        broker.verdict = lambda _message: None
        assert await relay.unpark(stream(3))
        # New events keep coming while it catches up.
        for _ in range(20):
            writer.write([stream(3)])
            await asyncio.sleep(0.002)
        await until(lambda: len(broker.delivered) == writer.total)
        await until(lambda: checkpoints.parked("test") == [])
        assert not await relay.unpark(stream(3))
    assert assert_complete_and_ordered(arrivals(broker.delivered), writer.versions) == 0


async def test_request_from_elsewhere_is_noticed_and_survives_a_restart(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = _refuse(stream(1), PermanentPublishError("refused"))
    writer.write(map(stream, range(3)), rounds=2)
    async with running(make_relay(store, broker.publisher, checkpoints)):
        await until(lambda: len(checkpoints.parked("test")) == 1)
        await until(lambda: len(broker.delivered) == 4)
    broker.verdict = lambda _message: None
    assert checkpoints.request_resend("test", stream(1))
    writer.write([stream(1)])
    async with running(make_relay(store, broker.publisher, checkpoints)):
        await until(lambda: len(broker.delivered) == 7)
        await until(lambda: checkpoints.parked("test") == [])
    assert assert_complete_and_ordered(arrivals(broker.delivered), writer.versions) == 0


async def test_failing_again_while_catching_up_parks_at_the_new_place(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = _refuse(stream(0), PermanentPublishError("refused"))
    writer.write([stream(0)], rounds=5)
    relay = make_relay(store, broker.publisher, checkpoints)

    def refuse_third(message: Message) -> PublishError | None:
        third = orjson.loads(message.payload)["sequence"].endswith("3")
        return PermanentPublishError("still refused") if third else None

    async with running(relay):
        await until(lambda: len(checkpoints.parked("test")) == 1)
        await until(lambda: relay.status().waiting == 0)
        broker.verdict = refuse_third
        await relay.unpark(stream(0))
        await until(lambda: checkpoints.parked("test")[0].first_version == 3)
        assert not checkpoints.parked("test")[0].resend_requested
        broker.verdict = lambda _message: None
        await until(lambda: relay.status().in_flight == 0)
        await relay.unpark(stream(0))
        await until(lambda: checkpoints.parked("test") == [])
    assert assert_complete_and_ordered(arrivals(broker.delivered), writer.versions) == 0


async def test_too_many_parked_streams_stop_the_destination(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = lambda _message: PermanentPublishError("everything is refused")
    writer.write(map(stream, range(10)))
    relay = make_relay(store, broker.publisher, checkpoints, options=replace(QUICK, max_parked=4))
    async with running(relay):
        await until(lambda: relay.status().parked == 4)
        await until(lambda: relay.status().circuit is not CircuitState.CLOSED)
        broker.verdict = lambda _message: None
        await until(lambda: len(broker.delivered) == 6)
        assert relay.status().parked == 4


async def test_event_that_cannot_be_encoded_parks_its_stream(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    def encoder(event: object) -> Message:
        raise RuntimeError("spec value that must not be shown")

    broker = MemoryBroker()
    writer.write([stream(1)])
    async with running(make_relay(store, broker.publisher, checkpoints, encoder=encoder)):
        await until(lambda: len(checkpoints.parked("test")) == 1)
    assert checkpoints.parked("test")[0].reason == "cannot be encoded: RuntimeError"


async def test_event_that_ends_every_session_parks_its_stream_only(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = _refuse(stream(7), SessionLost("malformed packet"))
    writer.write(map(stream, range(20)), rounds=2)
    relay = make_relay(store, broker.publisher, checkpoints)
    async with running(relay):
        while not relay.status().parked:  # events that pass are what it is compared with
            writer.write([stream(1)])
            await asyncio.sleep(0.02)
        await until(lambda: relay.status().lag_events == 0)
    (parked,) = checkpoints.parked("test")
    assert (parked.stream_id, parked.first_version) == (stream(7), 1)
    assert "malformed packet" in parked.reason
    expected = {name: version for name, version in writer.versions.items() if name != stream(7)}
    assert_complete_and_ordered(arrivals(broker.delivered), expected)


async def test_lone_event_is_not_blamed_for_ended_sessions(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = _refuse(stream(7), SessionLost("going down"))
    writer.write([stream(7)])
    relay = make_relay(store, broker.publisher, checkpoints)
    async with running(relay):
        await until(lambda: broker.connections > 10)
        assert relay.status().parked == 0
        broker.verdict = lambda _message: None
        await until(lambda: len(broker.delivered) == 1)


async def test_flapping_broker_parks_nothing(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    asked = 0

    def flapping(_message: Message) -> PublishError | None:
        nonlocal asked
        asked += 1
        return SessionLost("crashed") if asked < 200 and asked % 7 else None

    broker.verdict = flapping
    writer.write(map(stream, range(3)), rounds=20)
    relay = make_relay(
        store,
        broker.publisher,
        checkpoints,
        options=replace(QUICK, breaker=BreakerPolicy(base=0.001, cap=0.002)),
    )
    async with running(relay):
        await until(lambda: len(broker.delivered) == 60)
    assert checkpoints.parked("test") == []
    assert_complete_and_ordered(arrivals(broker.delivered), writer.versions)


@pytest.mark.parametrize("how", ["raise", "unexpected", "cancel"])
async def test_publisher_that_misbehaves_harms_one_stream_and_loses_nothing(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints, how: str
) -> None:
    broker = MemoryBroker()
    misbehaving = True

    class Publisher(MemoryPublisher):
        def publish(self, message: Message) -> asyncio.Future[None]:
            if not misbehaving or message.stream_id != stream(1):
                return super().publish(message)
            if how == "raise":
                raise OverflowError("a value that must not be shown")
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            if how == "cancel":
                answer.cancel()
            else:
                answer.set_exception(OverflowError("a value that must not be shown"))
            return answer

    writer.write(map(stream, range(4)), rounds=2)
    async with running(make_relay(store, lambda: Publisher(broker), checkpoints)) as (relay,):
        await until(lambda: len(broker.delivered) == 6)
        if how != "cancel":  # whose fault that is, nobody knows: tried again and again
            await until(lambda: len(checkpoints.parked("test")) == 1)
            assert checkpoints.parked("test")[0].reason == "cannot be sent: OverflowError"
        misbehaving = False
        if how != "cancel":
            await relay.unpark(stream(1))
        await until(lambda: len(broker.delivered) == 8)
    assert assert_complete_and_ordered(arrivals(broker.delivered), writer.versions) == 0


async def test_stream_on_its_way_to_being_parked_is_not_sent_by_an_old_retry(
    store: MemoryEventStore, writer: Writer
) -> None:
    parking, released = threading.Event(), threading.Event()

    class Slow(MemoryCheckpoints):
        def park(self, destination: str, owner: str, epoch: int, stream: ParkedStream) -> bool:
            parking.set()
            released.wait(5)
            return super().park(destination, owner, epoch, stream)

    broker = MemoryBroker()
    checkpoints = Slow()
    broker.verdict = _refuse(stream(0), PublishError("unclear"))
    writer.write(map(stream, range(3)))
    options = replace(QUICK, retry_base=0.3, retry_cap=0.3)
    async with running(make_relay(store, broker.publisher, checkpoints, options=options)):
        await until(lambda: len(broker.delivered) == 2)
        broker.verdict = _refuse(stream(0), PermanentPublishError("no"))
        broker.drop()
        await until(parking.is_set)
        broker.verdict = lambda _message: None
        await asyncio.sleep(0.4)
        released.set()
        await until(lambda: position(checkpoints) == 3)
    assert checkpoints.parked("test")[0].first_version == 1
    assert len(broker.delivered) == 2


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
        await until(lambda: position(checkpoints) == 40)
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


def _refuse(stream_id: str, error: PublishError) -> Verdict:
    return lambda message: error if message.stream_id == stream_id else None
