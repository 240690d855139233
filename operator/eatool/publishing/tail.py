"""Reads the log behind the cursors and hands events on, a page ahead of what is being sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from eatool.publishing.dispatch import Dispatcher
from eatool.publishing.holdings import Held, Holdings
from eatool.publishing.options import RelayOptions
from eatool.publishing.selection import Selects
from eatool.publishing.source import StoredLog
from eatool.store.encoding import StoredEvent
from eatool.store.port import PARTITIONS, StoreUnavailable

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Page:
    """One read: ``through`` is the position up to which nothing was left out."""

    events: list[StoredEvent]
    head: int
    through: int


class Tail:
    """Follows the log for the partitions held; woken by commits, otherwise polling."""

    def __init__(
        self,
        store: StoredLog,
        holdings: Holdings,
        dispatcher: Dispatcher,
        options: RelayOptions,
        *,
        selects: Selects,
        passes_over: Callable[[StoredEvent], bool],
        report: Callable[[str | None], None],
    ) -> None:
        """``report``: why the log cannot be read, or ``None`` when it can again."""
        self._store = store
        self._holdings = holdings
        self._dispatcher = dispatcher
        self._options = options
        self._selects = selects
        self._passes_over = passes_over
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._woken = False
        self.head = 0

    def wake(self) -> None:
        """There may be something to read."""
        self._woken = False
        self._wake.set()

    async def run(self) -> None:
        """Read until cancelled."""
        unsubscribe = self._store.on_append(self._appended)
        pause = self._options.poll_min
        try:
            while True:
                self._wake.clear()
                try:
                    await self._room()
                    progressed = await self._read()
                    self._report(None)
                except StoreUnavailable as error:
                    _log.warning("the log cannot be read: %s", error)
                    self._report(f"log: {error}")
                    progressed = False
                if progressed or await self._woken_within(pause):
                    pause = self._options.poll_min
                else:
                    pause = min(2 * pause, self._options.poll_max)
        finally:
            unsubscribe()

    def _appended(self, _position: int) -> None:
        # Called by the appender's thread for every commit: one wake-up for many.
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self.wake)

    async def _woken_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def _read(self) -> bool:
        """One page for the partitions that are furthest behind; whether there was anything."""
        held = list(self._holdings.held.values())
        if not held:
            return False
        front = max(each.progress.read for each in held)
        group = [each for each in held if each.progress.read < front] or held
        after = min(each.progress.read for each in group)
        wanted = None if len(group) == PARTITIONS else {each.partition for each in group}
        page = await asyncio.to_thread(self._page, after, wanted)
        self.head = page.head
        self._hand_on(page, {each.partition: each for each in group})
        return bool(page.events) or len(group) < len(held)

    async def _room(self) -> None:
        """Wait for room in memory; look how far the log has moved on while nothing moves here."""
        while not self._dispatcher.backlog.room.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.poll_max):
                    await self._dispatcher.backlog.room.wait()
                    return
            self.head = await asyncio.to_thread(self._end)

    def _end(self) -> int:
        """Position of the last event that concerns us, as the log is now."""
        head = self._store.head().position
        return head if self._options.until is None else min(head, self._options.until)

    def _page(self, after: int, partitions: Collection[int] | None) -> _Page:
        # The head first: a short page then proves that nothing up to it was left out.
        head = self._end()
        if after >= head:
            return _Page([], head, head)
        limit = self._options.page
        events = self._store.read_stored(after=after, limit=limit, partitions=partitions)
        last = events[-1].position if events else after
        through = last if len(events) == limit else max(last, head)
        until = self._options.until
        if until is None or last <= until:
            return _Page(events, head, through)
        return _Page([event for event in events if event.position <= until], head, until)

    def _hand_on(self, page: _Page, group: dict[int, Held]) -> None:
        current = self._holdings.held
        for event in page.events:
            held = group[event.partition]
            progress = held.progress
            if event.position <= progress.read or current.get(event.partition) is not held:
                continue
            if not self._selects(event) or self._passes_over(event):
                progress.advance(event.position)
                held.touched = True  # onlookers count what lies beyond the cursor as waiting
                continue
            progress.begin(event.position)
            self._dispatcher.offer(event)
        for held in group.values():
            held.progress.advance(page.through)
        self._dispatcher.pump()
