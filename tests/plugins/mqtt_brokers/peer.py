"""An independent MQTT client, 3.1.1 or 5: subscribes, or publishes what our adapter never would."""

from __future__ import annotations

import threading
import time
from typing import Any, Final
from uuid import uuid4

import orjson
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from tests.plugins.mqtt_brokers.broker import PASSWORD, USER

from eatool.publishing.mqtt_options import Version

_PATIENCE: Final = 10.0
_SESSION_SECONDS: Final = 3600


class Refused(Exception):
    """The broker closed the connection, or refused a request, where a person would see an error."""


class Peer:
    """One connection that comes back by itself; with ``persistent`` the broker keeps its session.

    With ``acknowledge_later`` it acknowledges what it has received only when told to.

    Attributes:
        messages: what arrived, in order.
        session_present: whether the broker still had the session at the last connect.
        ended: how the last connection was lost or refused.
        limits: MQTT 5 properties of the CONNACK.

    """

    def __init__(
        self,
        port: int,
        version: Version,
        *,
        persistent: bool = False,
        acknowledge_later: bool = False,
        client_id: str | None = None,
    ) -> None:
        self.messages: list[MQTTMessage] = []
        self.session_present = False
        self.ended: str | None = None
        self.limits: dict[str, Any] = {}
        self._port = port
        self._v5 = version == "5"
        self._persistent = persistent
        self._payloads: set[bytes] = set()
        self._acknowledge_later = acknowledge_later
        self._unacknowledged: list[MQTTMessage] = []
        self._filter: tuple[str, int] | None = None
        self._up = threading.Event()
        self._answered = threading.Event()
        self._granted: list[ReasonCode] = []
        self._client_id = client_id or f"peer-{uuid4().hex[:12]}"
        self._client = self._make_client()

    def connect(self) -> None:
        """Open the session; :class:`Refused` when that fails."""
        self._up.clear()
        self.ended = None
        self._client = self._make_client()  # used again, paho leaves sockets open
        if self._v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = _SESSION_SECONDS if self._persistent else 0
            self._client.connect(
                "127.0.0.1", self._port, 30, clean_start=not self._persistent, properties=properties
            )
        else:
            self._client.connect("127.0.0.1", self._port, 30)
        self._client.loop_start()
        if not self._up.wait(_PATIENCE):
            raise Refused(self.ended or "no answer to CONNECT")

    def subscribe(self, topic_filter: str, qos: int = 1) -> int:
        """Subscribe, now and after every lost session; returns the granted QoS."""
        self._filter = (topic_filter, qos)
        self._answered.clear()
        self._client.subscribe(topic_filter, qos)
        if not self._answered.wait(_PATIENCE):
            raise Refused(self.ended or "no answer to SUBSCRIBE")
        if self._granted[0].is_failure:
            raise Refused(f"SUBSCRIBE refused: {self._granted[0].getName()}")
        return self._granted[0].value

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, expiry: int | None = None
    ) -> None:
        """Publish with QoS 1 and wait for the answer; ``expiry`` in seconds, MQTT 5 only."""
        properties = None
        if expiry is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = expiry
        info = self._client.publish(topic, payload, 1, retain, properties)
        deadline = time.monotonic() + _PATIENCE
        while not info.is_published():
            if self.ended is not None or time.monotonic() > deadline:
                raise Refused(self.ended or "no answer to PUBLISH")
            time.sleep(0.005)

    def acknowledge(self) -> None:
        """Acknowledge everything received on this connection, and wait until the broker knows.

        The answer to a second SUBSCRIBE comes after it has read what was sent before.
        """
        while self._unacknowledged:
            message = self._unacknowledged.pop(0)
            self._client.ack(message.mid, message.qos)
        assert self._filter is not None
        self.subscribe(*self._filter)

    def disconnect(self) -> None:
        """Go away; a persistent session stays with the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def distinct(self) -> int:
        """Different messages so far; a re-send has the same bytes."""
        return len(self._payloads)

    @property
    def seen(self) -> list[tuple[str, int, str]]:
        """``(stream, version, event id)`` of structured events, in order of arrival."""
        bodies = (orjson.loads(message.payload) for message in list(self.messages))
        return [(body["partitionkey"], int(body["sequence"]), body["id"]) for body in bodies]

    def _make_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if self._v5 else not self._persistent,
            protocol=MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=self._acknowledge_later,
        )
        client.username_pw_set(USER, PASSWORD)
        client.reconnect_delay_set(1, 1)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: Client, _data: Any, flags: ConnectFlags, reason: ReasonCode, properties: Any
    ) -> None:
        if reason.is_failure:
            self.ended = f"refused: {reason.getName()}"
            return
        self.limits = {} if properties is None else vars(properties)
        self._unacknowledged.clear()  # of another connection: the broker sends them again
        self.session_present = flags.session_present
        if self._filter is not None:
            client.subscribe(*self._filter)
        self._up.set()

    def _on_disconnect(
        self,
        _client: Client,
        _data: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Any,
    ) -> None:
        told = f": {reason.getName()}" if flags.is_disconnect_packet_from_server else ""
        self.ended = f"connection closed{told}"

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, granted: list[ReasonCode], _properties: Any
    ) -> None:
        self._granted = granted
        self._answered.set()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._payloads.add(bytes(message.payload))
        self.messages.append(message)
        if self._acknowledge_later:
            self._unacknowledged.append(message)
