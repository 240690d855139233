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
    """QoS 1 on a topic filter; survives broker restarts through its session."""

    def __init__(self, port: int, topic_filter: str = "eatool/#", *, keep: bool = False) -> None:
        self.seen: list[tuple[str, int, str]] = []
        self.messages: list[MQTTMessage] = []
        self._keep = keep
        self._filter = topic_filter
        self._subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"subscriber-{uuid4().hex[:8]}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda *_: self._client.subscribe(self._filter, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, 5, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        if self._keep:
            self.messages.append(message)
        body = orjson.loads(message.payload)
        if "specversion" in body:
            self.seen.append((body["partitionkey"], int(body["sequence"]), body["id"]))

    def close(self) -> None:
        """End the session's connection."""
        self._client.disconnect()
        self._client.loop_stop()
