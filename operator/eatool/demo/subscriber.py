"""Somebody who listens: what the broker delivered, as any consumer would get it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import orjson
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from eatool.demo.failing import DemoError

_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Received:
    """One message: its topic and the CloudEvents attributes that matter here."""

    topic: str
    type: str
    stream: str
    sequence: int
    event_id: str
    actor: str


class Subscriber:
    """Subscribed to every event, QoS 1; works with MQTT 3.1.1 and 5 brokers."""

    def __init__(self, port: int, topics: str = "eatool/#") -> None:
        self._received: list[Received] = []
        self._told = 0
        self._arrived = threading.Condition()
        self._topics = topics
        subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="demo-subscriber")
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if not subscribed.wait(_PATIENCE):
            raise DemoError("the broker did not confirm a subscription")

    @property
    def received(self) -> tuple[Received, ...]:
        """Everything so far, in the order of arrival, repetitions included."""
        with self._arrived:
            return tuple(self._received)

    def news(self, events: int) -> tuple[Received, ...]:
        """Wait until so many different events arrived in all; those since the last call.

        :class:`DemoError` when they do not.
        """
        deadline = time.monotonic() + _PATIENCE
        with self._arrived:
            while (there := len({message.event_id for message in self._received})) < events:
                if not self._arrived.wait(deadline - time.monotonic()):
                    raise DemoError(f"{there} of {events} events arrived in {_PATIENCE:.0f} s")
            new = self._received[self._told :]
            self._told = len(self._received)
            return tuple(new)

    def close(self) -> None:
        """End the connection."""
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(self, client: Client, *_: object) -> None:
        client.subscribe(self._topics, qos=1)

    def _take(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        body = orjson.loads(message.payload)
        received = Received(
            topic=message.topic,
            type=body["type"],
            stream=body["partitionkey"],
            sequence=int(body["sequence"]),
            event_id=body["id"],
            actor=body["authid"],
        )
        with self._arrived:
            self._received.append(received)
            self._arrived.notify_all()
