"""Group commit: many callers, one transaction.

A batch is what queued while the last one was being committed; nobody waits for it to fill. So a
single caller pays one commit, and under load a commit carries hundreds of appends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple, Protocol, Self

from eatool.store.batch import Encoded, encode
from eatool.store.port import Append, Appended, Outcome, StoreError, StoreUnavailable

#: Transactions in one commit.
MAX_BATCH: Final = 512
#: Transactions that may wait; beyond it callers wait for room.
MAX_WAITING: Final = 8192
#: How long the worker waits at most until the callers that it answered on a loop have run. Both
#: need the interpreter: without the wait they take turns, and the next commit carries only the
#: callers that were quick.
HANDOVER_SECONDS: Final = 0.01
#: Quiet time after writes before the store may tidy up, seconds.
IDLE_SECONDS: Final = 5.0


class Grouped(Protocol):
    """What group commit asks of a store."""

    def append_encoded(self, batch: Sequence[Encoded | StoreError]) -> list[Outcome]:
        """Commit a batch; an outcome for each."""
        ...

    def tidy(self) -> None:
        """Called after a while without appends."""
        ...


_Answer = asyncio.Future[Outcome | Exception] | Future[Outcome | Exception]


class _Waiter(NamedTuple):
    encoded: Encoded
    #: Set on the loop, or directly when there is none.
    future: _Answer
    loop: asyncio.AbstractEventLoop | None


class GroupCommit:
    """Appends from any number of tasks and threads through one worker thread.

    A cancelled or timed-out caller may still have its events recorded: repeat the append, it
    will be recognised. :meth:`close` commits what is queued; the store stays open.
    """

    def __init__(
        self, store: Grouped, *, max_batch: int = MAX_BATCH, max_waiting: int = MAX_WAITING
    ) -> None:
        self._store = store
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._queue: SimpleQueue[_Waiter | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._room_waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="eatool-appender", daemon=True)
        self._thread.start()

    async def append(self, *appends: Append) -> Appended:
        """One transaction; raises its outcome when that is an error."""
        encoded = encode(appends)
        if isinstance(encoded, StoreError):
            raise encoded
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome | Exception] = loop.create_future()
        waiter = _Waiter(encoded, future, loop)
        while not self._offer(waiter):
            await self._wait_for_room(loop)
        return _result(await future)

    def submit(self, *appends: Append) -> Future[Appended]:
        """The same for threads; blocks only while :data:`MAX_WAITING` transactions wait."""
        result: Future[Appended] = Future()
        encoded = encode(appends)
        if isinstance(encoded, StoreError):
            result.set_exception(encoded)
            return result
        raw: Future[Outcome | Exception] = Future()
        raw.add_done_callback(lambda done: _copy(done.result(), result))
        waiter = _Waiter(encoded, raw, None)
        while not self._offer(waiter):
            with self._room:
                self._room.wait_for(self._has_room, timeout=1)
        return result

    def close(self) -> None:
        """Commit what is queued and stop; later appends raise :class:`StoreUnavailable`."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _has_room(self) -> bool:
        return self._queue.qsize() < self._max_waiting

    def _offer(self, waiter: _Waiter) -> bool:
        with self._lock:
            if self._closed:
                raise StoreUnavailable("the appender is closed")
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
        untidy = False
        while True:
            try:
                first = self._queue.get(timeout=IDLE_SECONDS if untidy else None)
            except Empty:
                untidy = False
                with suppress(StoreError):
                    self._store.tidy()
                continue
            batch, stop = self._drain(first)
            if batch:
                self._signal_room()
                self._settle(batch, self._commit([waiter.encoded for waiter in batch]))
                untidy = True
            if stop:
                return

    def _drain(self, waiter: _Waiter | None) -> tuple[list[_Waiter], bool]:
        """What is queued, up to one batch, and whether the end of the queue was reached."""
        batch: list[_Waiter] = []
        get, limit = self._queue.get_nowait, self._max_batch
        with suppress(Empty):
            while waiter is not None:
                batch.append(waiter)
                if len(batch) == limit:
                    return batch, False
                waiter = get()
            return batch, True
        return batch, False

    def _commit(self, batch: list[Encoded]) -> Sequence[Outcome | Exception]:
        try:
            return self._store.append_encoded(batch)
        # The worker must outlive whatever a store throws; every caller gets to see it.
        except Exception as error:
            return [error] * len(batch)

    @staticmethod
    def _settle(batch: list[_Waiter], outcomes: Sequence[Outcome | Exception]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[_Settled]] = {}
        for waiter, outcome in zip(batch, outcomes, strict=True):
            if waiter.loop is None:
                waiter.future.set_result(outcome)
            else:
                by_loop.setdefault(waiter.loop, []).append((waiter.future, outcome))
        for loop, settled in by_loop.items():
            callers_ran = threading.Event()
            try:
                loop.call_soon_threadsafe(_resolve, loop, settled, callers_ran)
            except RuntimeError:  # the loop is closed, nobody waits any more
                continue
            callers_ran.wait(HANDOVER_SECONDS)

    def _signal_room(self) -> None:
        if not self._room_waiters:
            with self._room:
                self._room.notify_all()
            return
        with self._room:
            self._room.notify_all()
            waiters, self._room_waiters = self._room_waiters, []
        for loop, room in waiters:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_open, room)


_Settled = tuple[_Answer, Outcome | Exception]


def _resolve(
    loop: asyncio.AbstractEventLoop, settled: list[_Settled], callers_ran: threading.Event
) -> None:
    for future, outcome in settled:
        if not future.done():
            future.set_result(outcome)
    loop.call_soon(callers_ran.set)  # after the callers, whom the results have just scheduled


def _open(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)


def _result(outcome: Outcome | Exception) -> Appended:
    if isinstance(outcome, Appended):
        return outcome
    # One error may go to many callers: each starts with a clean traceback.
    raise outcome.with_traceback(None)


def _copy(outcome: Outcome | Exception, result: Future[Appended]) -> None:
    if result.set_running_or_notify_cancel():
        if isinstance(outcome, Appended):
            result.set_result(outcome)
        else:
            result.set_exception(outcome)
