"""An independent subscriber with a persistent session: what the broker really delivered."""

from __future__ import annotations

import threading
from uuid import uuid4

import orjson
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


class Subscriber:
    """One topic filter; survives broker restarts through its session."""

    def __init__(self, port: int, topic_filter: str = "eatool/#", *, qos: int = 1) -> None:
        self.messages: list[MQTTMessage] = []
        self._filter = topic_filter
        self._qos = qos
        self._subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"subscriber-{uuid4().hex[:8]}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, 5, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def _on_connect(self, *_: object) -> None:
        self._client.subscribe(self._filter, qos=self._qos)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.messages.append(message)

    @property
    def seen(self) -> list[tuple[str, int, str]]:
        """``(stream, version, event id)`` of structured events, in order of arrival."""
        bodies = (orjson.loads(message.payload) for message in list(self.messages))
        return [(body["partitionkey"], int(body["sequence"]), body["id"]) for body in bodies]

    def close(self) -> None:
        """End the session's connection."""
        self._client.disconnect()
        self._client.loop_stop()
