"""MQTT 5 and 3.1.1 behind the publisher port, on paho-mqtt driven by the asyncio loop itself.

The loop drives paho (``mqtt_driver.py``). Only ``connect`` (name lookup, TCP, TLS) blocks, so it
runs in a thread, and in one of its own: a name that cannot be looked up takes the resolver half a
minute, and a few such brokers would take all threads that the others' database work needs.

paho's own reconnection and re-sending are off: after a lost session the relay builds a new
publisher and decides itself what to send again. So the broker is never asked to keep a session:
the next one counts packet ids from 1 again, and at QoS 2 a broker that still knew one of them would
take a new event for the repetition of an old one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Any, Final, cast
from uuid import uuid4

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from eatool.publishing.blocking import in_own_thread
from eatool.publishing.mqtt_driver import LoopDriver
from eatool.publishing.mqtt_options import MqttOptions
from eatool.publishing.mqtt_properties import NO_SESSION_KEPT, publish_properties
from eatool.publishing.mqtt_reasons import ended_by, fault_of_session, refusal
from eatool.publishing.mqtt_socket import BufferingContext
from eatool.publishing.os_errors import fault_of, in_words
from eatool.publishing.port import (
    Fault,
    Message,
    PermanentPublishError,
    SessionLost,
    SessionSilent,
    TransientPublishError,
)

_FIXED_HEADER: Final = 5
#: As paho words that no answer to its ping came.
_NO_PONG: Final = "Keep alive timeout"


class MqttPublisher:
    """One MQTT session. Not thread-safe; used once, then thrown away."""

    def __init__(self, options: MqttOptions) -> None:
        self._options = options
        self._v5 = options.version == "5"
        self._client = self._make_client()
        self._loop = asyncio.get_running_loop()
        self._session: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[SessionLost] = self._loop.create_future()
        self._outstanding: dict[int, asyncio.Future[None]] = {}
        self._waiting: deque[tuple[Message, asyncio.Future[None]]] = deque()
        self._receive_maximum = options.receive_maximum
        self._max_packet_size = options.max_packet_size
        self._driver = LoopDriver(
            self._client,
            options.keepalive,
            lambda error: self._end(f"session lost: {in_words(error)}", fault=fault_of(error)),
        )

    async def connect(self) -> None:
        """Open TCP, TLS and the MQTT session; :class:`SessionLost` says what was refused."""
        opening = in_own_thread(self._open_socket)
        try:
            async with asyncio.timeout(self._options.connect_timeout):
                await asyncio.shield(opening)
                self._driver.start()
                await asyncio.shield(self._session)
        except TimeoutError:
            self._abandon(opening)
            raise self._end("no answer to CONNECT in time") from None
        except (OSError, ssl.SSLError, ValueError) as error:
            raise self._end(in_words(error), fault=fault_of(error)) from error
        except BaseException:
            self._abandon(opening)
            self._end("connecting was given up")
            raise

    def publish(self, message: Message) -> asyncio.Future[None]:
        """See :meth:`Publisher.publish`. Messages beyond the broker's Receive Maximum wait."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self._lost.done():
            lost = self._lost.result()
            future.set_exception(SessionLost(str(lost), lost.fault))
        elif len(self._outstanding) >= self._receive_maximum:
            self._waiting.append((message, future))
        else:
            self._send(message, future)
        return future

    async def lost(self) -> SessionLost:
        """See :meth:`Publisher.lost`."""
        return await asyncio.shield(self._lost)

    async def close(self) -> None:
        """Say DISCONNECT if the socket takes it, close it, end what is outstanding."""
        if self._driver.driving and not self._lost.done():
            self._client.disconnect()
            self._driver.flush()
        self._end("closed")

    # -- one message -------------------------------------------------------------------------

    def _send(self, message: Message, future: asyncio.Future[None]) -> None:
        properties = publish_properties(message) if self._v5 else None
        if self._max_packet_size is not None:
            size = _FIXED_HEADER + len(message.topic.encode()) + 4 + len(message.payload)
            size += len(properties.pack()) if properties else 0
            if size > self._max_packet_size:
                limit = f"the limit is {self._max_packet_size}"
                future.set_exception(
                    PermanentPublishError(f"MQTT packet of {size} bytes is too large, {limit}")
                )
                return
        try:
            info = self._hand_over(message, properties)
            # A packet id still in use after 65,535 others: paho just counted on, so ask again.
            while info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
                info = self._hand_over(message, properties)
        except ValueError as error:
            future.set_exception(PermanentPublishError(str(error)))
            return
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._outstanding[info.mid] = future
        else:
            future.set_exception(TransientPublishError(f"not sent: {info.rc.name}"))

    def _hand_over(self, message: Message, properties: Properties | None) -> MQTTMessageInfo:
        options = self._options
        return self._client.publish(
            message.topic, message.payload, options.qos, options.retain, properties
        )

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        future = self._outstanding.pop(mid, None)
        if future is not None and not future.done():
            error = refusal(reason)
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
        while self._waiting and len(self._outstanding) < self._receive_maximum:
            message, waiting = self._waiting.popleft()
            if not waiting.done():
                self._send(message, waiting)

    # -- the session -------------------------------------------------------------------------

    def _make_client(self) -> Client:
        options = self._options
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{options.client_id}-{uuid4().hex[:12]}",
            clean_session=None if self._v5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        # No limits inside paho: it would walk all outstanding messages on every PUBACK.
        client.max_inflight_messages_set(0)
        client.max_queued_messages_set(0)
        client.connect_timeout = options.connect_timeout
        if options.username is not None:
            client.username_pw_set(options.username, options.password)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _open_socket(self) -> None:
        """In a thread: everything that blocks."""
        options, client = self._options, self._client
        tls, name = (
            (options.tls.context(), options.tls.server_name) if options.tls else (None, None)
        )
        # Typed as an SSLContext by paho, used for nothing but its wrap_socket.
        client.tls_set_context(cast(ssl.SSLContext, BufferingContext(tls, name)))
        if self._v5:
            client.connect(
                options.host,
                options.port,
                options.keepalive,
                clean_start=True,
                properties=NO_SESSION_KEPT,
            )
        else:
            client.connect(options.host, options.port, options.keepalive)

    def _on_connect(
        self,
        _client: Client,
        _data: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._session.done():
            return
        if reason.is_failure:
            words = f"broker refused the connection: {reason.getName()}"
            self._end(words, fault=fault_of_session(reason))
            return
        limits = {} if properties is None else vars(properties)
        if limits.get("MaximumQoS", 2) < self._options.qos:
            self._end(f"broker allows QoS {limits['MaximumQoS']} at most")
            return
        self._receive_maximum = min(
            self._receive_maximum, limits.get("ReceiveMaximum", self._receive_maximum)
        )
        own, theirs = self._max_packet_size, limits.get("MaximumPacketSize")
        self._max_packet_size = min((x for x in (own, theirs) if x is not None), default=None)
        self._session.set_result(None)

    def _on_disconnect(
        self,
        _client: Client,
        _data: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server and len(self._outstanding) == 1:
            # MQTT 5 brokers may answer a message they cannot take by ending the session. With
            # one message outstanding it is clear which; the half-open circuit sends just one.
            error = ended_by(reason)
            if error is not None:
                _mid, future = self._outstanding.popitem()
                future.set_exception(error)
        silent = not flags.is_disconnect_packet_from_server and reason.getName() == _NO_PONG
        self._end(
            f"session lost: {reason.getName()}",
            SessionSilent if silent else SessionLost,
            fault=fault_of_session(reason),
        )

    def _end(
        self,
        reason: str,
        kind: type[SessionLost] = SessionLost,
        *,
        fault: Fault = Fault.CONNECTION,
    ) -> SessionLost:
        """Close, and tell everybody who waits. The first reason stays."""
        error = kind(f"{self._options.address}: {reason}", fault)
        self._driver.stop()
        if not self._lost.done():
            self._lost.set_result(error)
        if not self._session.done():
            self._session.set_exception(error)
            self._session.exception()
        outstanding = [*self._outstanding.values(), *(future for _, future in self._waiting)]
        self._outstanding.clear()
        self._waiting.clear()
        for future in outstanding:
            if not future.done():
                future.set_exception(error)
        return self._lost.result()

    def _abandon(self, opening: asyncio.Future[None]) -> None:
        """Close the socket that the worker thread may still open."""
        opening.add_done_callback(lambda done: done.cancelled() or done.exception())
        opening.add_done_callback(lambda _done: self._driver.stop())
