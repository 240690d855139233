"""Solace PubSub+ behind the publisher port, on the official client library.

Messages are handed to the library (``solace_client.py``) in the asyncio loop, where their futures
live; it calls back in threads of its own. Acknowledgements cross over in bursts: they queue up, and
the first one wakes the loop for all of them. With many messages under way the loop then sleeps on
for a moment, as each of its turns costs more than what one acknowledgement brings.

The library's own reconnection is off: after a lost session the relay builds a new publisher and
decides itself what to send again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from eatool.publishing.port import Message, PermanentPublishError, PublishError, SessionLost
from eatool.publishing.solace_loading import load_client
from eatool.publishing.solace_options import SolaceOptions
from eatool.publishing.topics import SOLACE_LIMITS

#: The library gives up by itself after ``connect_timeout``; this is for when it does not.
_PATIENCE: Final = 2.0
#: Messages that count as many under way, and seconds in which their acknowledgements gather.
_MANY: Final = 32
_GATHERING: Final = 0.001
#: Seconds between tries when the library is full and does not say that it has room again.
_FULL: Final = 0.05
#: Seconds between the first message given up with the session and the end of the session, if the
#: library does not say why it ended; it always has.
_REASON_FOLLOWS: Final = 0.5


class SolacePublisher:
    """One session. Not thread-safe; used once, then thrown away."""

    def __init__(self, options: SolaceOptions) -> None:
        """``options.address`` must lead to one broker: failover is for the caller."""
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[SessionLost] = self._loop.create_future()
        self._released = asyncio.Event()
        self._client: Any = None
        self._outstanding: set[asyncio.Future[None]] = set()
        self._waiting: deque[tuple[Message, asyncio.Future[None]]] = deque()
        self._retry: asyncio.TimerHandle | None = None
        self._suspicion: asyncio.TimerHandle | None = None
        self._bridge = _LoopBridge(self._loop, self)

    async def connect(self) -> None:
        """Open the session; :class:`SessionLost` says what was refused, and never a secret."""
        try:
            async with asyncio.timeout(self._options.connect_timeout + _PATIENCE):
                module = await asyncio.to_thread(load_client)
                self._client = module.Connection(self._options, self._bridge)
                self._client.start()
                await asyncio.shield(self._opened)
        except ImportError:
            raise self.end("the package solace-pubsubplus is not installed") from None
        except TimeoutError:
            raise self.end("no answer to the login in time") from None
        except BaseException:
            self.end("connecting was given up")
            raise

    def publish(self, message: Message) -> asyncio.Future[None]:
        """See :meth:`Publisher.publish`. What does not fit into the window waits."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self._lost.done():
            lost = self._lost.result()
            future.set_exception(SessionLost(str(lost), lost.fault))
        elif refused := _refused(message, self._options.max_message_size):
            future.set_exception(PermanentPublishError(refused))
        else:
            if not self._waiting:  # once for all that is published in this turn of the loop
                self._loop.call_soon(self.send_waiting)
            self._waiting.append((message, future))
        return future

    async def lost(self) -> SessionLost:
        """See :meth:`Publisher.lost`."""
        return await asyncio.shield(self._lost)

    async def close(self) -> None:
        """Disconnect and end what is outstanding; waits for the library, but not for ever."""
        self.end("closed")
        if self._client is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.close_timeout):
                    await self._released.wait()

    @property
    def outstanding(self) -> int:
        """Messages that the library has and that are not answered."""
        return len(self._outstanding)

    # -- told by the bridge, in the loop -----------------------------------------------------

    def opened(self) -> None:
        """The session is there."""
        if not self._opened.done():
            self._opened.set_result(None)

    def answered(self, future: asyncio.Future[None], error: PublishError | None) -> None:
        """One message has its answer; a lost session ends all, when it is known why."""
        if future not in self._outstanding:
            return
        if isinstance(error, SessionLost):
            if self._suspicion is None:
                self._suspicion = self._loop.call_later(_REASON_FOLLOWS, self.end, "session lost")
            return
        self._outstanding.remove(future)
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def send_waiting(self) -> None:
        """Fill the window again."""
        with self._client.burst:
            while self._waiting:
                message, future = self._waiting[0]
                if not future.done() and not self._send(message, future):
                    return
                self._waiting.popleft()

    def end(self, reason: str | SessionLost) -> SessionLost:
        """End everything outstanding; only the first reason counts."""
        if not self._lost.done():
            if isinstance(reason, str):
                reason = SessionLost(f"{self._options.address}: {reason}")
            self._lost.set_result(reason)
            for timer in (self._suspicion, self._retry):
                if timer is not None:
                    timer.cancel()
            if self._client is not None:
                self._client.end()
        error = self._lost.result()
        if not self._opened.done():
            self._opened.set_exception(error)
            self._opened.exception()
        outstanding = [*self._outstanding, *(future for _, future in self._waiting)]
        self._outstanding.clear()
        self._waiting.clear()
        for future in outstanding:
            if not future.done():
                future.set_exception(error)
        return error

    def released(self) -> None:
        """The library has let go of everything."""
        self._released.set()

    # ----------------------------------------------------------------------------------------

    def _send(self, message: Message, future: asyncio.Future[None]) -> bool:
        """False when the window is full, ours or that of the library."""
        if len(self._outstanding) >= self._options.window:
            return False
        if not self._client.publish(message, future):
            if self._retry is None:
                self._retry = self._loop.call_later(_FULL, self._try_again)
            return False
        self._outstanding.add(future)
        return True

    def _try_again(self) -> None:
        self._retry = None
        self.send_waiting()


class _LoopBridge:
    """Carries what a connection tells into the loop; see ``solace_client.Bridge``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, publisher: SolacePublisher) -> None:
        self._loop = loop
        self._publisher = publisher
        self._answers: deque[tuple[asyncio.Future[None], PublishError | None]] = deque()
        self._woken = False

    def opened(self) -> None:
        self._call(self._publisher.opened)

    def answered(self, answer: asyncio.Future[None], error: PublishError | None) -> None:
        self._answers.append((answer, error))
        if not self._woken:
            self._woken = True
            self._call(self._look)

    def room(self) -> None:
        self._call(self._publisher.send_waiting)

    def lost(self, error: SessionLost) -> None:
        self._call(self._end, error)

    def ended(self) -> None:
        self._call(self._publisher.released)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is interested any more
            self._loop.call_soon_threadsafe(function, *arguments)

    def _look(self) -> None:
        if self._publisher.outstanding < _MANY:
            self._drain()
        else:
            self._loop.call_later(_GATHERING, self._drain)

    def _drain(self) -> None:
        self._woken = False  # before looking: what comes later wakes again
        answers, publisher = self._answers, self._publisher
        while answers:
            publisher.answered(*answers.popleft())
        publisher.send_waiting()

    def _end(self, error: SessionLost) -> None:
        self._drain()  # what was acknowledged before the end counts
        self._publisher.end(error)


def _refused(message: Message, max_message_size: int) -> str | None:
    size = len(message.payload)
    if size > max_message_size:
        return f"message of {size} bytes is too large, the limit is {max_message_size}"
    return _refused_topic(message.topic)


@lru_cache(maxsize=8192)
def _refused_topic(topic: str) -> str | None:
    """What the library would cut, choke on or send to the wrong place.

    It counts characters where the limit is bytes, and takes a NUL for the end.
    """
    size, levels = len(topic.encode("utf-8", "surrogatepass")), topic.count("/") + 1
    if size > SOLACE_LIMITS.max_bytes:
        return f"topic is {size} bytes long, the limit is {SOLACE_LIMITS.max_bytes}"
    if SOLACE_LIMITS.max_levels is not None and levels > SOLACE_LIMITS.max_levels:
        return f"topic has {levels} levels, the limit is {SOLACE_LIMITS.max_levels}"
    if not topic or "\0" in topic:
        return "topic is empty or has a NUL character"
    return None
