"""An independent QoS 1 subscriber with a persistent session: what the broker really delivered."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import cast
from uuid import uuid4

import orjson
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


class _ReadToTheEnd(socket.socket):
    """Reads everything that has arrived, although the peer is dead.

    paho closes the socket when it cannot send an acknowledgement any more, and with it goes what
    the kernel has received and nobody has read. A dead peer shows at the end of the reading too.
    """

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override] # any buffer
        try:
            return super().send(data, flags)
        except (BrokenPipeError, ConnectionResetError):
            return len(data)

    def do_handshake(self) -> None:
        """There is no TLS: paho's hook for it is the way in for a socket of one's own."""


class _Hook:
    check_hostname = True

    def wrap_socket(self, sock: socket.socket, **_: object) -> _ReadToTheEnd:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        return _ReadToTheEnd(fileno=sock.detach())


class Subscriber:
    """One topic filter; survives broker restarts through its session."""

    def __init__(self, port: int, topic_filter: str = "eatool/#") -> None:
        self.messages: list[MQTTMessage] = []
        self._payloads: set[bytes] = set()
        self._filter = topic_filter
        self._subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"subscriber-{uuid4().hex[:8]}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        self._client.tls_set_context(cast(ssl.SSLContext, _Hook()))
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
        self._client.subscribe(self._filter, qos=1)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._payloads.add(bytes(message.payload))
        self.messages.append(message)

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
