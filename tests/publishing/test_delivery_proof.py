"""Nothing is lost and no stream is out of order, whoever is killed.

A real Mosquitto, a real subscriber with a persistent session, real ``kill -9``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from tests.plugins.mosquitto import BrokerFactory, Mosquitto
from tests.publishing.subscriber import Subscriber
from tests.publishing.support import (
    QUICK,
    Writer,
    assert_complete_and_ordered,
    make_relay,
    running,
    stream,
    until,
)

from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import MqttOptions
from eatool.publishing.port import Message
from eatool.store.memory import MemoryEventStore
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

STREAMS = [stream(number) for number in range(250)]


@pytest.fixture
def subscriber(mosquitto: Mosquitto) -> Iterator[Subscriber]:
    subscriber = Subscriber(mosquitto.port)
    yield subscriber
    subscriber.close()


def complete(subscriber: Subscriber, writer: Writer) -> bool:
    return subscriber.distinct == writer.total


class Recording(MqttPublisher):
    """Notes the fate of every message handed to the broker: ``(event id, acknowledged)``."""

    fates: ClassVar[list[tuple[str, bool]]] = []

    def publish(self, message: Message) -> asyncio.Future[None]:
        answer = super().publish(message)
        answer.add_done_callback(
            lambda done: self.fates.append((message.event_id, done.exception() is None))
        )
        return answer


async def test_broker_is_killed_in_the_middle_of_5000_events(
    make_mosquitto: BrokerFactory,
) -> None:
    """``kill -9`` three times while 5,000 events flow to a QoS 1 subscriber with a session.

    What the relay promises, and is checked on its own: every event was acknowledged by the broker
    after it was published, and whatever was not acknowledged was sent again.

    What has been acknowledged is the broker's to keep. Mosquitto (2.0.11, ``handle_publish.c``,
    ``loop.c``) writes a message to the sockets of its subscribers, then acknowledges it, and saves
    later: every 30 minutes, or with ``autosave_on_changes`` at the end of a turn of its loop.
    Messages that wait for an offline or slow subscriber can therefore be lost by a ``kill -9``
    although they are acknowledged. What it has written to a socket the kernel still delivers,
    unless bytes from the subscriber lie there unread: then the kernel resets the connection. So
    the kills come while the subscriber keeps up, and it acknowledges between them.
    """
    mosquitto = make_mosquitto()
    mosquitto.start()
    subscriber = Subscriber(mosquitto.port, acknowledge_later=True)
    await asyncio.to_thread(mosquitto.save)  # its session and subscription
    store = MemoryEventStore()
    writer = Writer(store)
    fates = Recording.fates = []
    relay = make_relay(
        store,
        lambda: Recording(MqttOptions("127.0.0.1", mosquitto.port)),
        MemoryCheckpoints(),
        options=replace(QUICK, window=64),
    )

    def acknowledged(events: int) -> bool:
        return sum(done for _, done in fates) >= events

    async with running(relay):
        for burst in range(10):
            before = writer.total
            writer.write(STREAMS, rounds=2)
            if burst in {2, 5, 8}:
                await until(partial(acknowledged, before + 100))
                assert relay.status().lag_events
                mosquitto.kill()
                await until(lambda: not relay.status().connected)
                await asyncio.to_thread(mosquitto.start)
            await until(lambda: complete(subscriber, writer), 20)
            await asyncio.to_thread(subscriber.acknowledge)
        assert writer.total == 5000
        await until(lambda: relay.status().lag_events == 0)
        assert relay.status().parked == 0
    subscriber.close()

    confirmed = [event_id for event_id, done in fates if done]
    unconfirmed = {event_id for event_id, done in fates if not done}
    assert len(set(confirmed)) == writer.total, "an event was never acknowledged"
    assert len(confirmed) == writer.total, "an acknowledged event was sent again"
    assert unconfirmed, "the kills met nothing in flight: they proved nothing"
    assert_complete_and_ordered(subscriber.seen, writer.versions)
    repeated = repeats(subscriber)
    assert repeated <= unconfirmed, "a duplicate that is no re-send of something unconfirmed"


def repeats(subscriber: Subscriber) -> set[str]:
    """Ids of events that arrived again, and not as the broker's own re-delivery (DUP)."""
    seen: set[str] = set()
    again: set[str] = set()
    for message, (_, _, event_id) in zip(subscriber.messages, subscriber.seen, strict=True):
        if event_id in seen and not message.dup:
            again.add(event_id)
        seen.add(event_id)
    return again


async def test_broker_goes_silent_and_comes_back(
    mosquitto: Mosquitto, subscriber: Subscriber
) -> None:
    store = MemoryEventStore()
    writer = Writer(store)
    writer.write(STREAMS, rounds=4)
    relay = make_relay(
        store,
        lambda: MqttPublisher(MqttOptions("127.0.0.1", mosquitto.port, connect_timeout=0.5)),
        MemoryCheckpoints(),
        options=replace(QUICK, window=64, ack_timeout=0.6),
    )
    async with running(relay):
        await until(lambda: len(subscriber.messages) >= 100)
        mosquitto.silence()
        writer.write(STREAMS)  # perhaps everything before was through already
        await until(lambda: not relay.status().connected)
        assert relay.status().last_error is not None
        mosquitto.resume()
        await until(lambda: complete(subscriber, writer), 20)
    assert_complete_and_ordered(subscriber.seen, writer.versions)


def _relay_process(url: str, port: int) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    path = f"{root}{os.pathsep}{root / 'operator'}"
    return subprocess.Popen(
        [sys.executable, "-m", "tests.publishing.relay_process", url, str(port)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=root,
    )


async def test_relay_processes_share_the_log_and_are_killed(
    mosquitto: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    engine = open_engine(url)
    migrate.upgrade(engine)
    store = SqlEventStore(engine)
    writer = Writer(store)
    processes = [_relay_process(url, mosquitto.port) for _ in range(2)]
    try:
        for turn in range(12):
            await asyncio.to_thread(writer.write, STREAMS, rounds=2)
            if turn % 4 == 2:
                processes[0].kill()
                processes[0].wait()
                processes.append(_relay_process(url, mosquitto.port))
                processes.pop(0)
            await asyncio.sleep(0.25)
        await until(lambda: complete(subscriber, writer), 20)
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
        store.close()
        engine.dispose()
    assert_complete_and_ordered(subscriber.seen, writer.versions)
