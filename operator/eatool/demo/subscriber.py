"""Somebody who listens: what a broker delivered, as any consumer would get it."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from uuid import uuid4

import orjson
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from eatool.demo.failing import DemoError

_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Received:
    """One message: its topic and the CloudEvents attributes that matter here."""

    topic: str
    type: str
    stream: str
    sequence: int
    event_id: str
    actor: str

    @classmethod
    def parse(cls, topic: str, payload: bytes) -> Received:
        """Read a structured CloudEvent."""
        body = orjson.loads(payload)
        return cls(
            topic=topic,
            type=body["type"],
            stream=body["partitionkey"],
            sequence=int(body["sequence"]),
            event_id=body["id"],
            actor=body["authid"],
        )


class Subscriber(ABC):
    """What one subscription brought; ``topics`` as the broker writes it."""

    def __init__(self, topics: str) -> None:
        self.topics = topics
        self._received: list[Received] = []
        self._told = 0
        self._arrived = threading.Condition()

    @property
    def received(self) -> tuple[Received, ...]:
        """Everything so far, in the order of arrival, repetitions included."""
        with self._arrived:
            return tuple(self._received)

    @property
    def count(self) -> int:
        """Different events so far."""
        with self._arrived:
            return self._different()

    def wait(self, events: int) -> None:
        """Return when so many different events arrived in all; :class:`DemoError` if they don't."""
        if not self.has(events, within=_PATIENCE):
            raise DemoError(
                f"{self.count} of {events} events of {self.topics} arrived in {_PATIENCE:.0f} s"
            )

    def has(self, events: int, *, within: float) -> bool:
        """Whether so many different events arrive in all within some seconds."""
        deadline = time.monotonic() + within
        with self._arrived:
            while self._different() < events:
                if not self._arrived.wait(deadline - time.monotonic()):
                    return False
            return True

    def news(self) -> tuple[Received, ...]:
        """What came since the last call."""
        with self._arrived:
            new = self._received[self._told :]
            self._told = len(self._received)
            return tuple(new)

    @abstractmethod
    def close(self) -> None:
        """End the connection."""

    def _take(self, topic: str, payload: bytes) -> None:
        received = Received.parse(topic, payload)
        with self._arrived:
            self._received.append(received)
            self._arrived.notify_all()

    def _different(self) -> int:
        return len({message.event_id for message in self._received})


class MqttSubscriber(Subscriber):
    """QoS 1; works with MQTT 3.1.1 and 5 brokers, which keep what it misses while it is away."""

    def __init__(self, port: int, topics: str) -> None:
        super().__init__(topics)
        subscribed = threading.Event()
        name = f"demo-{uuid4().hex[:8]}"
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topics, qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if not subscribed.wait(_PATIENCE):
            raise DemoError("the broker did not confirm a subscription")

    def close(self) -> None:
        """End the connection."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._take(message.topic, bytes(message.payload))
