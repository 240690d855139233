"""Work off the queue: several commands at once, one of a stream."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic, perf_counter
from typing import Final, Protocol

from eatool.commands.observing import CommandMetrics, NullMetrics, Verdict
from eatool.commands.port import Command, CommandQueue, Leased
from eatool.commands.results import Result
from eatool.store.clock import utc_now
from eatool.store.group_commit import GroupCommit
from eatool.store.port import StoreError, StoreUnavailable

_log = logging.getLogger(__name__)

_VERDICTS: Final = {
    "Recorded": Verdict.RECORDED,
    "Unchanged": Verdict.UNCHANGED,
    "Refused": Verdict.REFUSED,
    "Outdated": Verdict.OUTDATED,
    "Awaiting": Verdict.WAITING,
}
#: Pause while the database is away, seconds.
_AWAY: Final = 1.0
_TIDY_EVERY: Final = 600.0
#: What of an exception's text is kept with a command, characters.
_WHY: Final = 500


class TryLater(Exception):
    """Nothing could be decided now, for a reason that is not the command's.

    Does not count as an attempt, however often it is raised.
    """

    def __init__(self, why: str, after: float) -> None:
        super().__init__(why)
        self.after = after


class Processor(Protocol):
    """Decides and records one command.

    Must change nothing when the command was processed before: its worker may have died between
    doing it and saying so. :class:`TryLater` and
    :class:`~eatool.store.port.StoreUnavailable` postpone the command; any other exception is a
    fault, and after so many of them the command is a dead letter.
    """

    async def __call__(self, command: Command) -> Result:
        """Process one command."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Seconds, unless said otherwise.

    Attributes:
        concurrency: commands at once.
        lease: how long a worker that was killed keeps its commands; renewed at a third of it.
        time_limit: of one attempt; longer is a fault.
        poll: longest pause between looks at the queue.
        attempts: faults, or deaths of its worker, that make a command a dead letter.
        first_pause, longest_pause: between attempts; doubles, with jitter.
        waiting: after that a command that waits for references is decided again anyway.
        retention: how long ended commands can be looked up.

    """

    concurrency: int = 16
    lease: float = 30.0
    time_limit: float = 120.0
    poll: float = 1.0
    attempts: int = 5
    first_pause: float = 1.0
    longest_pause: float = 300.0
    waiting: float = 60.0
    retention: float = 7 * 86_400.0


class Workers:
    """The workers of one process, under one name (``worker``, unique among processes)."""

    def __init__(
        self,
        queue: CommandQueue,
        process: Processor,
        *,
        worker: str,
        options: WorkerOptions | None = None,
        metrics: CommandMetrics | None = None,
    ) -> None:
        self._queue = queue
        self._process = process
        self._worker = worker
        self._options = options or WorkerOptions()
        self._metrics = metrics or NullMetrics()
        self._results: GroupCommit[tuple[Leased, Result], bool]
        self._running: dict[asyncio.Task[None], Leased] = {}
        self._look = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set, then end what was begun.

        Cancelled, it lets go at once: another process continues when the leases have ended.
        """
        loop = asyncio.get_running_loop()

        def wake(_sequence: int) -> None:
            with suppress(RuntimeError):  # enqueued by another thread while the loop closes
                loop.call_soon_threadsafe(self._look.set)

        remove = self._queue.on_enqueue(wake)
        finish = partial(self._queue.finish_batch, again_after=self._options.waiting)
        self._results = GroupCommit(finish, name="command results")
        beside = [
            asyncio.create_task(self._keep_leases()),
            asyncio.create_task(self._tidy()),
            asyncio.create_task(self._heed(stopping)),
        ]
        try:
            while not stopping.is_set():
                await self._take(stopping)
            if self._running:
                await asyncio.wait(self._running)
        finally:
            remove()
            await _cancel(*self._running, *beside)
            self._results.close(wait=False)

    async def _take(self, stopping: asyncio.Event) -> None:
        """Start what there is room for, then wait for room or work."""
        self._look.clear()
        room = self._options.concurrency - len(self._running)
        claimed: list[Leased] = []
        if room:
            try:
                claimed = await asyncio.to_thread(
                    self._queue.claim, self._worker, self._options.lease, room
                )
            except StoreError as error:
                _log.warning("the command queue does not answer: %s", error)
        for leased in claimed:
            task = asyncio.create_task(self._attempt(leased))
            self._running[task] = leased
            task.add_done_callback(self._ended)
        if not claimed or len(claimed) < room:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._options.poll)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._look.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a worker failed: %s", type(error).__name__, exc_info=error)

    async def _attempt(self, leased: Leased) -> None:
        kind, started = leased.command.aggregate_type, perf_counter()
        waited = (utc_now() - leased.enqueued_at).total_seconds()
        self._metrics.started(kind, max(0.0, waited))
        verdict = await self._decide(leased)
        self._metrics.ended(kind, verdict, perf_counter() - started)

    async def _decide(self, leased: Leased) -> Verdict:
        options, queue = self._options, self._queue
        if leased.attempts > options.attempts:
            return await self._bury(leased, f"its worker ended {options.attempts} times over it")
        try:
            async with asyncio.timeout(options.time_limit):
                result = await self._process(leased.command)
        except (TryLater, StoreUnavailable) as error:
            after, why = _after(error), _said(error)
            told = await self._tell_alone(lambda: queue.retry(leased, after, why, counted=False))
            return Verdict.POSTPONED if told else Verdict.LOST
        except Exception as error:
            return await self._fault(leased, error)
        told = await self._tell(lambda: self._results.request((leased, result)))
        return _VERDICTS[result.kind] if told else Verdict.LOST

    async def _fault(self, leased: Leased, error: Exception) -> Verdict:
        why = f"{type(error).__name__}: {_said(error)}"
        # The text may quote the change; it is kept with the command, not in the log.
        _log.warning(
            "command %s of %s failed, attempt %d: %s",
            leased.command.id,
            leased.command.stream_id,
            leased.attempts,
            type(error).__name__,
        )
        if leased.attempts >= self._options.attempts:
            return await self._bury(leased, why)
        pause = min(
            self._options.longest_pause, self._options.first_pause * 2 ** (leased.attempts - 1)
        )
        after = pause * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret
        told = await self._tell_alone(lambda: self._queue.retry(leased, after, why))
        return Verdict.FAULT if told else Verdict.LOST

    async def _bury(self, leased: Leased, why: str) -> Verdict:
        _log.error("command %s of %s is dead", leased.command.id, leased.command.stream_id)
        told = await self._tell_alone(lambda: self._queue.bury(leased, why))
        return Verdict.DEAD if told else Verdict.LOST

    async def _tell_alone(self, say: Callable[[], bool]) -> bool:
        """Tell the queue what is rare enough for a commit of its own."""
        return await self._tell(lambda: asyncio.to_thread(say))

    async def _tell(self, say: Callable[[], Awaitable[bool]]) -> bool:
        """Tell the queue, again and again while it is away, until the lease is lost for sure."""
        until = monotonic() + self._options.lease
        while True:
            try:
                return await say()
            except StoreError:
                if monotonic() > until:
                    return False
                await asyncio.sleep(_AWAY)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._options.lease / 3)
            if self._running:
                with suppress(StoreError):
                    leased = list(self._running.values())
                    await asyncio.to_thread(self._queue.renew, leased, self._options.lease)

    async def _tidy(self) -> None:
        while True:
            with suppress(StoreError):
                while await asyncio.to_thread(self._queue.prune, self._options.retention):
                    pass
            await asyncio.sleep(_TIDY_EVERY)

    async def _heed(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._look.set()


def _after(error: TryLater | StoreUnavailable) -> float:
    return error.after if isinstance(error, TryLater) else _AWAY


def _said(error: Exception) -> str:
    """The text, as a database can keep it."""
    return str(error).replace("\0", "")[:_WHY]


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
