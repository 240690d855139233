"""A broker in memory with scripted faults: the twin of the real adapters for tests.

One :class:`MemoryBroker` outlives many sessions, as a real one does. Messages are acknowledged on
the next turn of the loop, or when :meth:`MemoryBroker.release` is called after ``hold()``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from eatool.publishing.port import Message, PublishError, SessionLost

#: Decides the answer to one message: ``None`` = acknowledge it, :class:`SessionLost` = end the
#: session, as brokers do with what they cannot take.
Verdict = Callable[[Message], PublishError | None]


class MemoryBroker:
    """Keeps what it acknowledged, in order of arrival.

    Attributes:
        delivered: accepted messages, duplicates included.
        verdict: asked about every message; a test swaps it.
        connections: sessions opened so far, refused ones not counted.

    """

    def __init__(self) -> None:
        self.delivered: list[Message] = []
        self.verdict: Verdict = lambda _message: None
        self.connections = 0
        self.highest_in_flight = 0
        self._refusing: SessionLost | None = None
        self._holding = False
        self._sessions: list[MemoryPublisher] = []

    def publisher(self) -> MemoryPublisher:
        """A fresh session; pass this method as the relay's publisher factory."""
        return MemoryPublisher(self)

    def stop(self, reason: str = "broker is down") -> None:
        """Break all sessions and refuse new ones."""
        self._refusing = SessionLost(reason)
        self.drop(reason)

    def start(self) -> None:
        """Take sessions again."""
        self._refusing = None

    def drop(self, reason: str = "connection reset") -> None:
        """Break all sessions; messages without an answer stay without one."""
        for session in list(self._sessions):
            session.break_off(SessionLost(reason))

    def hold(self) -> None:
        """Be silent: take messages, acknowledge nothing."""
        self._holding = True

    def release(self) -> None:
        """Acknowledge what was held back, and everything from now on."""
        self._holding = False
        for session in self._sessions:
            session.answer()

    @property
    def outstanding(self) -> list[Message]:
        """Messages without an answer, over all sessions."""
        return [message for session in self._sessions for message, _ in session.unanswered]

    def admit(self, session: MemoryPublisher) -> None:
        """Open a session or raise what :meth:`stop` said."""
        if self._refusing is not None:
            raise self._refusing
        self.connections += 1
        self._sessions.append(session)

    def leave(self, session: MemoryPublisher) -> None:
        """Forget a session."""
        if session in self._sessions:
            self._sessions.remove(session)

    @property
    def holding(self) -> bool:
        """Acknowledgements are held back."""
        return self._holding


class MemoryPublisher:
    """One session with a :class:`MemoryBroker`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[SessionLost] = self._loop.create_future()
        self.unanswered: deque[tuple[Message, asyncio.Future[None]]] = deque()

    async def connect(self) -> None:
        """See :meth:`Publisher.connect`."""
        await asyncio.sleep(0)
        self._broker.admit(self)

    def publish(self, message: Message) -> asyncio.Future[None]:
        """See :meth:`Publisher.publish`."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self._lost.done():
            future.set_exception(self._lost.result())
            return future
        self.unanswered.append((message, future))
        self._broker.highest_in_flight = max(
            self._broker.highest_in_flight, len(self._broker.outstanding)
        )
        if not self._broker.holding:
            self._loop.call_soon(self.answer)
        return future

    def answer(self) -> None:
        """Give the broker's verdict on everything outstanding."""
        while self.unanswered and not self._broker.holding:
            message, future = self.unanswered.popleft()
            error = self._broker.verdict(message)
            if error is None:
                self._broker.delivered.append(message)
            if future.done():
                continue
            if isinstance(error, SessionLost):
                self.unanswered.appendleft((message, future))
                self.break_off(error)
            elif error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    async def lost(self) -> SessionLost:
        """See :meth:`Publisher.lost`."""
        return await asyncio.shield(self._lost)

    async def close(self) -> None:
        """See :meth:`Publisher.close`."""
        self.break_off(SessionLost("closed"))

    def break_off(self, error: SessionLost) -> None:
        """End the session with ``error``."""
        self._broker.leave(self)
        if not self._lost.done():
            self._lost.set_result(error)
        while self.unanswered:
            _message, future = self.unanswered.popleft()
            if not future.done():
                future.set_exception(error)
