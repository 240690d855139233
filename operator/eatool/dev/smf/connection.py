"""One TCP or TLS connection: bytes to frames and back, and the login."""

from __future__ import annotations

import asyncio
import logging
import struct

from eatool.dev.smf import login
from eatool.dev.smf.login import Login, LoginAttempt
from eatool.dev.smf.replies import CLIENT_NAME_IN_USE, OK, Reply
from eatool.dev.smf.session import Session, respond
from eatool.dev.smf.state import BrokerState
from eatool.dev.smf.wire import Frame, Protocol, SmfError, take_frames

logger = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """Lets a client in and passes its frames to its session."""

    def __init__(self, state: BrokerState, number: int) -> None:
        """``number`` counts the connections of a broker from 1."""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._state = state
        self._number = number
        self._session: Session | None = None
        self._transport: asyncio.Transport | None = None
        self._input = bytearray()
        self._held: list[Frame] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a server gets
        self._transport = transport
        if self._state.faults.refuse_connections:
            transport.abort()
            return
        self._state.connections[self._number] = self
        self._state.changed()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._input += data
        if not self._state.faults.silent:
            self.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        logger.info("connection %d ended: %s", self._number, exc or "closed")
        self._transport = None
        self.ended.set_result(None)
        if self._session is not None:
            self._session.end()
        self._state.connections.pop(self._number, None)
        self._state.clients.pop(self._number, None)
        self._state.changed()

    def send(self, frame: Frame) -> None:
        """Send a frame, unless the connection is gone; keep it during a silence."""
        self._held.append(frame)
        if not self._state.faults.silent:
            self._release()

    def resume(self) -> None:
        """Go on with what came and what was to be sent during a silence."""
        self._release()
        self._read()

    def drop(self) -> None:
        """Cut the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def _is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def _read(self) -> None:
        try:
            for frame in take_frames(self._input):
                self._handle(frame)
                if not self._is_open:
                    return
        except (SmfError, struct.error, IndexError) as error:
            logger.warning("connection %d: %s: %s", self._number, type(error).__name__, error)
            self._state.protocol_errors.append(f"{type(error).__name__}: {error}")
            self.drop()
            return
        if self._session is not None:
            self._session.flush()

    def _release(self) -> None:
        held, self._held = self._held, []
        for frame in held:
            if self._transport is not None and not self._transport.is_closing():
                self._transport.write(frame.encode())

    def _handle(self, frame: Frame) -> None:
        if frame.protocol != Protocol.CLIENT_CTRL:
            if self._session is None:
                raise SmfError(f"protocol {frame.protocol:#04x} before login")
            self._session.handle(frame)
        elif login.message_type(frame) == login.LOGIN:
            self._log_in(frame)
        else:
            self.send(respond(frame, OK, frame.payload))

    def _log_in(self, frame: Frame) -> None:
        request = Login.decode(frame)
        name = request.client_name or f"client/{self._number}"
        reply = self._judge(request, name)
        self._state.logins.append(LoginAttempt(name, reply))
        logger.info("connection %d: login of %r: %s", self._number, name, reply)
        if reply != OK:
            self.send(respond(frame, reply, login.refusal()))
            if self._transport is not None:
                self._transport.close()
        else:
            size = self._state.limits.announced_message_bytes
            self.send(respond(frame, OK, login.welcome(request, name, self._number, size)))
            self._session = self._state.clients[self._number] = Session(
                self._state,
                connection=self._number,
                client_name=name,
                send=self.send,
                drop=self.drop,
            )
        self._state.changed()

    def _judge(self, request: Login, name: str) -> Reply:
        if self._state.faults.refuse_login is not None:
            return self._state.faults.refuse_login
        transport = self._transport
        certificate = transport is not None and bool(transport.get_extra_info("peercert"))
        reply = request.judge(self._state.access, certificate=certificate)
        if reply == OK and self._state.has_client(name):
            return CLIENT_NAME_IN_USE
        return reply
