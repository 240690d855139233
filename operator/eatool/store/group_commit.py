"""Group commit: many callers, one transaction.

A batch is what queued while the last one was being committed; nobody waits for it to fill. So a
single caller pays one commit, and under load a commit carries hundreds of requests.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, Generic, NamedTuple, TypeVar

from eatool.store.port import StoreError, StoreUnavailable

#: Requests in one commit.
MAX_BATCH: Final = 512
#: Requests that may wait; beyond it callers wait for room.
MAX_WAITING: Final = 8192
#: How long the worker waits at most until the callers that it answered on a loop have run. Both
#: need the interpreter: without the wait they take turns, and the next commit carries only the
#: callers that were quick.
HANDOVER_SECONDS: Final = 0.01
#: Quiet time after commits before :meth:`GroupCommit.idle`, seconds.
IDLE_SECONDS: Final = 5.0

_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")

_Promise = asyncio.Future[_Answer | Exception] | Future[_Answer | Exception]


class _Waiter(NamedTuple, Generic[_Request, _Answer]):
    request: _Request
    #: Set on the loop, or directly when there is none.
    future: _Promise[_Answer]
    loop: asyncio.AbstractEventLoop | None


class GroupCommit(Generic[_Request, _Answer]):
    """Requests from any number of tasks and threads through one worker thread, in their order.

    Answers are given after the commit. A cancelled or timed-out caller's request may still be
    committed, and so may one that is answered with an error of the database: requests must be
    idempotent. :meth:`close` commits what is queued.

    Args:
        commit: commits a batch in one transaction, with an answer for each in the same order; an
            exception among them is raised to its caller alone, one that is raised to all.
        idle: called after a while without requests, in the worker thread.
        name: of the worker thread, and of what is closed in errors.

    """

    def __init__(
        self,
        commit: Callable[[list[_Request]], Sequence[_Answer | Exception]],
        *,
        name: str,
        idle: Callable[[], None] | None = None,
        max_batch: int = MAX_BATCH,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._commit = commit
        self._idle = idle
        self._name = name
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._queue: SimpleQueue[_Waiter[_Request, _Answer] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._room_waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"eatool-{name}", daemon=True)
        self._thread.start()

    async def request(self, request: _Request) -> _Answer:
        """Have it committed; raises its answer when that is an error."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Answer | Exception] = loop.create_future()
        waiter = _Waiter(request, future, loop)
        while not self._offer(waiter):
            await self._wait_for_room(loop)
        answer = await future
        if isinstance(answer, Exception):
            # One error may go to many callers: each starts with a clean traceback.
            raise answer.with_traceback(None)
        return answer

    def submit(self, request: _Request) -> Future[_Answer]:
        """The same for threads; blocks only while :data:`MAX_WAITING` requests wait."""
        result: Future[_Answer] = Future()
        raw: Future[_Answer | Exception] = Future()
        raw.add_done_callback(lambda done: _copy(done.result(), result))
        waiter = _Waiter(request, raw, None)
        while not self._offer(waiter):
            with self._room:
                self._room.wait_for(self._has_room, timeout=1)
        return result

    def close(self, *, wait: bool = True) -> None:
        """Commit what is queued and stop; later requests raise :class:`StoreUnavailable`."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        if wait:
            self._thread.join()

    def _has_room(self) -> bool:
        return self._queue.qsize() < self._max_waiting

    def _offer(self, waiter: _Waiter[_Request, _Answer]) -> bool:
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"the {self._name} is closed")
            if not self._has_room():
                return False
            self._queue.put(waiter)
            return True

    async def _wait_for_room(self, loop: asyncio.AbstractEventLoop) -> None:
        room = loop.create_future()
        with self._lock:
            if self._has_room():
                return
            self._room_waiters.append((loop, room))
        await room

    # -- worker thread ---------------------------------------------------------------------

    def _run(self) -> None:
        busy = False
        while True:
            try:
                first = self._queue.get(timeout=IDLE_SECONDS if busy else None)
            except Empty:
                busy = False
                if self._idle is not None:
                    with suppress(StoreError):
                        self._idle()
                continue
            batch, stop = self._drain(first)
            if batch:
                self._signal_room()
                self._settle(batch, self._answers([waiter.request for waiter in batch]))
                busy = True
            if stop:
                return

    def _drain(
        self, waiter: _Waiter[_Request, _Answer] | None
    ) -> tuple[list[_Waiter[_Request, _Answer]], bool]:
        """What is queued, up to one batch, and whether the end of the queue was reached."""
        batch: list[_Waiter[_Request, _Answer]] = []
        get, limit = self._queue.get_nowait, self._max_batch
        with suppress(Empty):
            while waiter is not None:
                batch.append(waiter)
                if len(batch) == limit:
                    return batch, False
                waiter = get()
            return batch, True
        return batch, False

    def _answers(self, batch: list[_Request]) -> Sequence[_Answer | Exception]:
        try:
            return self._commit(batch)
        # The worker must outlive whatever a commit throws; every caller gets to see it.
        except Exception as error:
            return [error] * len(batch)

    @staticmethod
    def _settle(
        batch: list[_Waiter[_Request, _Answer]], answers: Sequence[_Answer | Exception]
    ) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[_Settled[_Answer]]] = {}
        for waiter, answer in zip(batch, answers, strict=True):
            if waiter.loop is None:
                waiter.future.set_result(answer)
            else:
                by_loop.setdefault(waiter.loop, []).append((waiter.future, answer))
        for loop, settled in by_loop.items():
            callers_ran = threading.Event()
            try:
                loop.call_soon_threadsafe(_resolve, loop, settled, callers_ran)
            except RuntimeError:  # the loop is closed, nobody waits any more
                continue
            callers_ran.wait(HANDOVER_SECONDS)

    def _signal_room(self) -> None:
        with self._room:
            self._room.notify_all()
            waiters, self._room_waiters = self._room_waiters, []
        for loop, room in waiters:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_open, room)


_Settled = tuple[_Promise[_Answer], _Answer | Exception]


def _resolve(
    loop: asyncio.AbstractEventLoop,
    settled: list[_Settled[_Answer]],
    callers_ran: threading.Event,
) -> None:
    for future, answer in settled:
        if not future.done():
            future.set_result(answer)
    loop.call_soon(callers_ran.set)  # after the callers, whom the answers have just scheduled


def _open(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)


def _copy(answer: _Answer | Exception, result: Future[_Answer]) -> None:
    if result.set_running_or_notify_cancel():
        if isinstance(answer, Exception):
            result.set_exception(answer)
        else:
            result.set_result(answer)
