"""The two sides of the comparison: the product, and nothing but the client library."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.cloudevents import CloudEventsEncoder, ContentMode
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import MqttOptions
from eatool.publishing.observer import NullObserver
from eatool.publishing.options import RelayOptions
from eatool.publishing.port import Message
from eatool.publishing.relay import Relay
from eatool.publishing.topics import TopicTemplate
from eatool.store.encoding import StoredEvent
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore


def raw_paho(port: int, messages: Sequence[Message], window: int) -> float:
    """Acked messages per second: paho's own network thread, nothing but publish and count."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(0)
    client.max_queued_messages_set(0)
    permits = threading.Semaphore(window)
    up, done = threading.Event(), threading.Event()
    left = len(messages)

    def acknowledged(*_: object) -> None:
        nonlocal left
        left -= 1
        permits.release()
        if not left:
            done.set()

    client.on_connect = lambda *_: up.set()
    client.on_publish = acknowledged
    client.connect("127.0.0.1", port)
    client.loop_start()
    up.wait(10)
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = messages[0].content_type
    properties.PayloadFormatIndicator = 1
    begin = time.perf_counter()
    for message in messages:
        permits.acquire()
        client.publish(message.topic, message.payload, 1, properties=properties)
    done.wait()
    rate = len(messages) / (time.perf_counter() - begin)
    client.disconnect()
    client.loop_stop()
    return rate


async def relay(url: str, port: int, destination: str, *, events: int, window: int) -> float:
    """Acked events per second: log, encoding, order, parking, checkpoints, everything."""
    engine = open_engine(url)
    store = SqlEventStore(open_engine(url))
    checkpoints = SqlCheckpoints(engine)
    published = _Counter(events)
    subject = Relay(
        store,
        lambda: MqttPublisher(MqttOptions("127.0.0.1", port)),
        checkpoints,
        destination=destination,
        encoder=encoder(),
        options=RelayOptions(window=window),
        observer=published,
    )
    running = asyncio.create_task(subject.run())
    await asyncio.wait_for(published.done.wait(), 300)
    rate = events / (published.ended - published.began)
    await subject.stop()
    await running
    positions = {cursor.position for cursor in checkpoints.cursors(destination)}
    assert positions == {events}, "a checkpoint is not at the end of the log"
    store.close()
    engine.dispose()
    return rate


def encoder(mode: ContentMode = ContentMode.STRUCTURED) -> CloudEventsEncoder:
    """The product's own encoder; the raw side publishes what it made."""
    return CloudEventsEncoder(TopicTemplate(env="bench"), mode)


class _Counter(NullObserver):
    """Starts the clock when the session is open, as the other side does."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self.began = self.ended = 0.0
        self.done = asyncio.Event()

    def connection(self, *, up: bool) -> None:
        """See :class:`~eatool.publishing.observer.Observer`."""
        if up:
            self.began = time.perf_counter()

    def published(self, event: StoredEvent, since_recorded: float, call: float) -> None:
        """See :class:`~eatool.publishing.observer.Observer`."""
        self._left -= 1
        if not self._left:
            self.ended = time.perf_counter()
            self.done.set()
