"""Streams that a broker refuses: parked alone, released in order."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import orjson
import pytest
from tests.publishing.support import (
    QUICK,
    Writer,
    arrivals,
    assert_complete_and_ordered,
    lowest_position,
    make_relay,
    refuse,
    running,
    stream,
    until,
)

from eatool.publishing.breaker import BreakerPolicy, CircuitState
from eatool.publishing.checkpoints import ParkedStream
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.memory import MemoryBroker, MemoryPublisher
from eatool.publishing.observer import NullObserver
from eatool.publishing.port import (
    Message,
    PermanentPublishError,
    PublishError,
    SessionLost,
)
from eatool.store.encoding import StoredEvent
from eatool.store.memory import MemoryEventStore


async def test_permanent_refusal_parks_its_stream_only(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = refuse(stream(3), PermanentPublishError("topic is not allowed"))
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
    assert lowest_position(checkpoints) == 40


async def test_unclear_refusals_park_after_the_last_attempt(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = refuse(stream(0), PublishError("unspecified error"))
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


async def test_unparking_sends_what_was_passed_over_then_goes_on(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = refuse(stream(3), PermanentPublishError("refused"))
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
    broker.verdict = refuse(stream(1), PermanentPublishError("refused"))
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
    broker.verdict = refuse(stream(0), PermanentPublishError("refused"))
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
    broker.verdict = refuse(stream(7), SessionLost("malformed packet"))
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


async def test_lone_event_is_not_blamed_while_no_session_lives_without_it(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = refuse(stream(7), SessionLost("going down"))
    writer.write([stream(7)])
    relay = make_relay(store, broker.publisher, checkpoints, options=replace(QUICK, quiet=3600))
    async with running(relay):
        while broker.connections < 8:  # a broker in trouble: sessions end by themselves
            await asyncio.sleep(0.005)
            broker.drop("going down")
        assert relay.status().parked == 0
        assert broker.delivered == []
    broker.verdict = lambda _message: None
    async with running(make_relay(store, broker.publisher, checkpoints)):
        await until(lambda: len(broker.delivered) == 1)


async def test_lone_event_that_ends_every_session_is_parked_when_sessions_live_without_it(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = lambda _message: SessionLost("malformed packet")
    writer.write([stream(7)])
    relay = make_relay(store, broker.publisher, checkpoints, options=replace(QUICK, quiet=0.05))
    async with running(relay):
        await until(lambda: len(checkpoints.parked("test")) == 1)
        assert broker.connections >= QUICK.max_disconnects
        # The next lone event proves that it is the broker: no more parking on such evidence.
        writer.write([stream(8)])
        sessions = broker.connections
        await until(lambda: broker.connections > sessions + 2 * QUICK.max_disconnects)
        assert relay.status().parked == 1
        broker.verdict = refuse(stream(7), SessionLost("malformed packet"))
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
    broker.verdict = refuse(stream(0), PublishError("unclear"))
    writer.write(map(stream, range(3)))
    options = replace(QUICK, retry_base=0.3, retry_cap=0.3)
    async with running(make_relay(store, broker.publisher, checkpoints, options=options)):
        await until(lambda: len(broker.delivered) == 2)
        broker.verdict = refuse(stream(0), PermanentPublishError("no"))
        broker.drop()
        await until(parking.is_set)
        broker.verdict = lambda _message: None
        await asyncio.sleep(0.4)
        released.set()
        await until(lambda: lowest_position(checkpoints) == 3)
    assert checkpoints.parked("test")[0].first_version == 1
    assert len(broker.delivered) == 2
