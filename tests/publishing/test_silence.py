"""Events that make a session silent or fail for ever: they hold up nobody but their own stream."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from tests.publishing.support import (
    QUICK,
    Writer,
    arrivals,
    assert_complete_and_ordered,
    make_relay,
    refuse,
    running,
    stream,
    until,
)

from eatool.publishing.breaker import CircuitState
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.memory import MemoryBroker, MemoryPublisher
from eatool.publishing.port import (
    Message,
    PublishError,
    SessionLost,
    SessionSilent,
    TransientPublishError,
)
from eatool.store.memory import MemoryEventStore

IMPATIENT = replace(QUICK, ack_timeout=0.1)


class Numbed(MemoryBroker):
    """Answers nothing in a session any more once it has seen an event of ``poison``.

    RabbitMQ does so over ``max_message_size``. ``lost``: what ends a numb session by itself.
    """

    def __init__(self, *poison: str) -> None:
        super().__init__()
        self.poison = set(poison)
        self.tried: Counter[str] = Counter()
        self.lost: SessionLost | None = None

    def publisher(self) -> MemoryPublisher:
        return _NumbSession(self)


class _NumbSession(MemoryPublisher):
    def __init__(self, broker: Numbed) -> None:
        super().__init__(broker)
        self._numbed = broker
        self._unheard: list[asyncio.Future[None]] = []

    def publish(self, message: Message) -> asyncio.Future[None]:
        if message.stream_id in self._numbed.poison:
            self._numbed.tried[message.stream_id] += 1
        elif not self._unheard:
            return super().publish(message)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unheard.append(future)
        if self._numbed.lost is not None:
            asyncio.get_running_loop().call_soon(self.break_off, self._numbed.lost)
        return future

    def break_off(self, error: SessionLost) -> None:
        super().break_off(error)
        for future in self._unheard:
            if not future.done():
                future.set_exception(error)


@pytest.mark.parametrize(
    "lost", [None, SessionSilent("no answer to PINGREQ")], ids=["stays", "ends"]
)
async def test_event_that_silences_the_broker_parks_its_stream_only(
    store: MemoryEventStore,
    writer: Writer,
    checkpoints: MemoryCheckpoints,
    lost: SessionLost | None,
) -> None:
    broker = Numbed(stream(0))
    broker.lost = lost
    writer.write(map(stream, range(20)), rounds=2)
    relay = make_relay(store, broker.publisher, checkpoints, options=IMPATIENT)
    async with running(relay):
        await until(lambda: len(broker.delivered) == 38)
        while not checkpoints.parked("test"):  # events that pass are what it is compared with
            writer.write([stream(1)])
            await asyncio.sleep(0.02)
        await until(lambda: relay.status().lag_events == 0)
    (parked,) = checkpoints.parked("test")
    assert (parked.stream_id, parked.first_version, parked.attempts) == (stream(0), 1, 3)
    assert parked.reason.startswith("each time it was sent alone the session fell silent: ")
    expected = {name: version for name, version in writer.versions.items() if name != stream(0)}
    assert_complete_and_ordered(arrivals(broker.delivered), expected)


async def test_silence_about_a_lone_event_proves_nothing(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = Numbed(stream(0))
    writer.write([stream(0)])
    options = replace(IMPATIENT, ack_timeout=0.02, quiet=0.001)
    async with running(make_relay(store, broker.publisher, checkpoints, options=options)):
        await until(lambda: broker.tried[stream(0)] > 3 * QUICK.max_disconnects)
        assert checkpoints.parked("test") == [], "a broker without disk or memory is as silent"
        writer.write([stream(1)])
        await until(lambda: len(broker.delivered) == 1)
        while not checkpoints.parked("test"):
            writer.write([stream(1)])
            await asyncio.sleep(0.02)


async def test_several_silencing_events_hold_up_nobody(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    poison = set(map(stream, range(4)))
    broker = Numbed(*poison)
    writer.write(map(stream, range(40)))
    options = replace(IMPATIENT, ack_timeout=0.05)
    async with running(make_relay(store, broker.publisher, checkpoints, options=options)):
        await until(lambda: len(broker.delivered) == 36)
        while len(checkpoints.parked("test")) < len(poison):
            writer.write([stream(9)])
            await asyncio.sleep(0.02)
    assert {row.stream_id for row in checkpoints.parked("test")} == poison


async def test_blackholed_broker_parks_nothing(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.hold()
    writer.write(map(stream, range(10)), rounds=2)
    options = replace(IMPATIENT, ack_timeout=0.02, quiet=0.001)
    async with running(make_relay(store, broker.publisher, checkpoints, options=options)):
        await until(lambda: broker.connections > 20)
        broker.release()
        await until(lambda: len(broker.delivered) == 20)
    assert checkpoints.parked("test") == []
    assert assert_complete_and_ordered(arrivals(broker.delivered), writer.versions) == 0


async def test_event_that_fails_for_a_passing_reason_for_ever_lets_the_others_through(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = refuse(stream(0), TransientPublishError("its queue is full"))
    writer.write(map(stream, range(12)), rounds=2)
    options = replace(QUICK, window=1)
    relay = make_relay(store, broker.publisher, checkpoints, options=options)
    async with running(relay):
        await until(lambda: relay.status().circuit is not CircuitState.CLOSED)
        await until(lambda: len(broker.delivered) == 22)
        writer.write([stream(5)])
        await until(lambda: len(broker.delivered) == 23)
        assert checkpoints.parked("test") == [], "never counted against the event"
        broker.verdict = lambda _message: None
        await until(lambda: len(broker.delivered) == 25)
    assert_complete_and_ordered(arrivals(broker.delivered), writer.versions)


async def test_suspect_that_ends_every_session_does_not_keep_another_from_its_acquittal(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    innocent, accidents = stream(1), 1

    def verdict(message: Message) -> PublishError | None:
        nonlocal accidents
        if message.stream_id == innocent:
            accidents -= 1
            return SessionLost("restarted") if accidents >= 0 else None
        return SessionLost("malformed packet")

    broker.verdict = verdict
    writer.write([innocent])
    options = replace(QUICK, window=1, quiet=3600)
    async with running(make_relay(store, broker.publisher, checkpoints, options=options)):
        await until(lambda: accidents == 0)
        writer.write([stream(0)])
        await until(lambda: len(broker.delivered) == 1)


async def test_slow_broker_with_a_full_window_is_no_silent_one(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.hold()
    writer.write(map(stream, range(60)))
    relay = make_relay(
        store, broker.publisher, checkpoints, options=replace(QUICK, ack_timeout=0.2)
    )
    async with running(relay):
        while broker.outstanding or not broker.delivered:
            for session in broker._sessions:
                if session.unanswered:
                    message, future = session.unanswered.popleft()
                    broker.delivered.append(message)
                    future.set_result(None)
            await asyncio.sleep(0.01)
        assert broker.connections == 1
    assert assert_complete_and_ordered(arrivals(broker.delivered), writer.versions) == 0
