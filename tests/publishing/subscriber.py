"""An independent QoS 1 subscriber with a persistent session: what the broker really delivered."""

from __future__ import annotations

import threading
from uuid import uuid4

import orjson
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


class Subscriber:
    """One topic filter; survives broker restarts through its session.

    With ``acknowledge_later`` it acknowledges what it has received only when told to.
    """

    def __init__(
        self, port: int, topic_filter: str = "eatool/#", *, acknowledge_later: bool = False
    ) -> None:
        self.messages: list[MQTTMessage] = []
        self._payloads: set[bytes] = set()
        self._acknowledge_later = acknowledge_later
        self._unacknowledged: list[MQTTMessage] = []
        self._filter = topic_filter
        self._subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"subscriber-{uuid4().hex[:8]}",
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=acknowledge_later,
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
        self._unacknowledged.clear()  # of another connection: the broker sends them again
        self._client.subscribe(self._filter, qos=1)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._payloads.add(bytes(message.payload))
        self.messages.append(message)
        if self._acknowledge_later:
            self._unacknowledged.append(message)

    def acknowledge(self) -> None:
        """Acknowledge everything received on this connection, and wait until the broker knows.

        The answer to a second SUBSCRIBE comes after it has read what was sent before.
        """
        while self._unacknowledged:
            message = self._unacknowledged.pop(0)
            self._client.ack(message.mid, message.qos)
        self._subscribed.clear()
        self._client.subscribe(self._filter, qos=1)
        assert self._subscribed.wait(10)

    @property
    def connected(self) -> bool:
        """There is a session with the broker now."""
        return self._client.is_connected()

    @property
    def distinct(self) -> int:
        """Different messages so far; a re-send has the same bytes."""
        return len(self._payloads)

    @property
    def seen(self) -> list[tuple[str, int, str]]:
        """``(stream, version, event id)`` of structured events, in order of arrival."""
        bodies = (orjson.loads(message.payload) for message in list(self.messages))
        return [(body["partitionkey"], int(body["sequence"]), body["id"]) for body in bodies]

    def close(self) -> None:
        """End the session's connection."""
        self._client.disconnect()
        self._client.loop_stop()
