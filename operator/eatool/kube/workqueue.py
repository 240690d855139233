"""A work queue with the semantics of client-go's: the heart of a level-triggered controller.

A key is processed by one worker at a time; added while it is being processed, it runs once more
afterwards; added ten times while it waits, it runs once. Retries live here in memory and cost no
API request (kopf's own retries write a progress annotation each time).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delay with full jitter, in seconds."""

    base: float = 0.5
    cap: float = 60.0

    def delay(self, failures: int) -> float:
        """Delay before the next try after ``failures`` (>= 1) in a row."""
        ceiling = min(self.cap, self.base * 2 ** min(failures - 1, 16))
        return random.uniform(self.base / 2, ceiling)  # noqa: S311 - spreads load, guards nothing


class WorkQueue(Generic[K]):
    """Keys to be processed; belongs to one event loop and must be called in it."""

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff()
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._queued: set[K] = set()
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._delayed: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def queued(self) -> frozenset[K]:
        """Keys ready to be processed, not counting delayed and active ones."""
        return frozenset(self._queued)

    def add(self, key: K) -> None:
        """Process ``key`` as soon as possible."""
        timer = self._delayed.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._active:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: K, delay: float) -> None:
        """Process ``key`` in ``delay`` seconds unless it is added earlier; the sooner wins."""
        due = self._loop.time() + delay
        timer = self._delayed.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._delayed[key] = self._loop.call_at(due, self.add, key)

    def retry(self, key: K, *, not_before: float = 0.0) -> float:
        """Process ``key`` again after a backoff that grows with each failure in a row.

        ``not_before`` seconds are waited in any case (``Retry-After``); the backoff comes on top,
        so that those who were told the same do not come back together. Returns the delay.
        """
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        delay = not_before + self._backoff.delay(failures)
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """Forget the failures of ``key``."""
        self._failures.pop(key, None)

    async def run(self, process: Callable[[K], Awaitable[None]], workers: int) -> None:
        """Process keys with ``workers`` tasks until cancelled; ``process`` must not raise."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(process))
        finally:
            for timer in self._delayed.values():
                timer.cancel()
            self._delayed.clear()

    async def _work(self, process: Callable[[K], Awaitable[None]]) -> None:
        while True:
            key = await self._ready.get()
            self._queued.discard(key)
            self._active.add(key)
            try:
                await process(key)
            finally:
                self._active.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)
