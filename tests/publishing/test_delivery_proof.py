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
from pathlib import Path

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
    enough = len(subscriber.messages) >= writer.total
    return enough and len(set(subscriber.seen)) == writer.total


async def test_broker_is_killed_in_the_middle_of_5000_events(
    make_mosquitto: BrokerFactory,
) -> None:
    """What the broker has confirmed and not yet delivered is its own promise, not the relay's.

    Mosquitto confirms before it writes to disk, so the kills come while the subscriber keeps up,
    and the subscriber sends no acknowledgements: unread ones would turn the kill into a TCP reset,
    which throws away messages that have already arrived at the subscriber's socket.
    """
    mosquitto = make_mosquitto(settings={"queue_qos0_messages": "true"})
    mosquitto.start()
    subscriber = Subscriber(mosquitto.port, qos=0)
    await asyncio.to_thread(mosquitto.save)
    store = MemoryEventStore()
    writer = Writer(store)
    relay = make_relay(
        store,
        lambda: MqttPublisher(MqttOptions("127.0.0.1", mosquitto.port)),
        MemoryCheckpoints(),
        options=replace(QUICK, window=64),
    )
    async with running(relay):
        for kill in (True, False) * 4:
            before = writer.total
            writer.write(STREAMS, rounds=5 if kill else 1)
            if kill:
                await until(lambda mark=before + 300: len(subscriber.messages) >= mark)  # type: ignore[misc]
                assert relay.status().lag_events > 0
                await asyncio.to_thread(mosquitto.kill)
                await until(lambda: not relay.status().connected)
                await asyncio.to_thread(mosquitto.start)
            await until(lambda: complete(subscriber, writer), 20)
        assert relay.status().parked == 0
    subscriber.close()
    assert writer.total >= 5000
    assert_complete_and_ordered(subscriber.seen, writer.versions)


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
