"""Streams that are passed over, and how they catch up.

A parked stream's events are finished without being sent: the log keeps them. Releasing a stream
sends what was passed over, in order, and only then lets new events take the usual way. The switch
is safe because it happens in one turn of the event loop: a read of the stream found nothing new
up to where the partition was read, and nothing was passed over while it was being read.

The row is removed after the switch. A crash in between repeats the re-send: same ids, same order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from eatool.publishing.blocking import to_the_end
from eatool.publishing.checkpoints import Checkpoints, ParkedStream
from eatool.publishing.dispatch import Dispatcher
from eatool.publishing.holdings import Held
from eatool.publishing.observer import Observer
from eatool.publishing.options import RelayOptions
from eatool.publishing.selection import Selects
from eatool.publishing.source import StoredLog
from eatool.store.encoding import StoredEvent
from eatool.store.port import StoreUnavailable

_log = logging.getLogger(__name__)


class _Parked:
    """One parked stream in memory, and how far its re-sending has come."""

    __slots__ = ("acknowledged", "held", "passed", "resending", "row", "settled", "task")

    def __init__(self, row: ParkedStream, held: Held, *, settled: bool) -> None:
        self.row = row
        self.held = held
        #: Written down, and nothing of the stream is queued any more.
        self.settled = settled
        self.resending = 0
        self.passed = False
        self.acknowledged = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class ParkingLot:
    """Parked streams of the partitions held here; the event loop owns it."""

    def __init__(
        self,
        store: StoredLog,
        checkpoints: Checkpoints,
        *,
        destination: str,
        owner: str,
        options: RelayOptions,
        observer: Observer,
        dispatcher: Dispatcher,
        selects: Selects,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._store = store
        self._checkpoints = checkpoints
        self._destination = destination
        self._owner = owner
        self._options = options
        self._observer = observer
        self._dispatcher = dispatcher
        self._selects = selects
        self._spawn = spawn
        self._streams: dict[str, _Parked] = {}
        #: Database writes of one lot take turns, so that parking never overtakes unparking.
        self._writing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._streams)

    def adopt(self, rows: Iterable[ParkedStream], held: dict[int, Held]) -> None:
        """Streams parked by whoever had our new partitions before us."""
        for row in rows:
            self._streams[row.stream_id] = _Parked(row, held[row.partition], settled=True)
        self._observer.parked(len(self._streams))

    def forget(self, partitions: Collection[int]) -> None:
        """The next owner reads the rows."""
        for stream_id, parked in list(self._streams.items()):
            if parked.row.partition in partitions:
                del self._streams[stream_id]
                if parked.task is not None:
                    parked.task.cancel()
        self._observer.parked(len(self._streams))

    def passes_over(self, event: StoredEvent) -> bool:
        """Whether a newly read event belongs to a parked stream."""
        parked = self._streams.get(event.stream_id)
        if parked is None:
            return False
        parked.passed = True
        return True

    def resent(self, event: StoredEvent) -> bool:
        """An acknowledgement; True when it was for a re-send, which no cursor waits for."""
        parked = self._streams.get(event.stream_id)
        if parked is None:
            return False
        parked.row = replace(
            parked.row, first_position=event.position + 1, first_version=event.version + 1
        )
        parked.resending -= 1
        if parked.resending == 0:
            parked.acknowledged.set()
        return True

    # -- parking -----------------------------------------------------------------------------

    def park(self, event: StoredEvent, held: Held, reason: str, attempts: int) -> bool:
        """Pass the stream over from ``event`` on; False when the limit is reached."""
        row = ParkedStream(
            event.stream_id,
            event.partition,
            event.position,
            event.version,
            reason,
            attempts,
            datetime.now(UTC),
        )
        parked = self._streams.get(event.stream_id)
        if parked is not None:
            # It failed again while catching up; its events are re-sends, no cursor waits.
            if parked.task is not None:
                parked.task.cancel()
            self._dispatcher.take(event.stream_id)
            parked.row, parked.resending, parked.task = row, 0, None
            parked.settled = False
            self._spawn(self._settle(parked))
            return True
        if len(self._streams) >= self._options.max_parked:
            return False
        _log.warning(
            "%s: parking %s at position %d after %d attempts: %s",
            self._destination, event.stream_id, event.position, attempts, reason,
            extra={"correlation_id": str(event.correlation_id)},
        )  # fmt: skip
        parked = self._streams[event.stream_id] = _Parked(row, held, settled=False)
        self._observer.parked(len(self._streams))
        self._spawn(self._settle(parked))
        return True

    async def _settle(self, parked: _Parked) -> None:
        """Only a parking that is written down lets the cursor pass the event."""
        row, held = parked.row, parked.held
        written = await self._stubborn(self._checkpoints.park, row, held)
        if not written or self._streams.get(row.stream_id) is not parked:
            return  # the partition is somebody else's, who will meet the event as well
        for event in self._dispatcher.take(row.stream_id):
            held.progress.finish(event.position)
        held.touched = True
        parked.settled = True

    # -- catching up -------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Look for streams that somebody asked to release."""
        if not self._streams:
            return
        partitions = {parked.row.partition for parked in self._streams.values()}
        rows = await asyncio.to_thread(self._checkpoints.parked, self._destination, partitions)
        for row in rows:
            parked = self._streams.get(row.stream_id)
            if parked is None or not parked.settled or parked.task is not None:
                continue
            if row.resend_requested:
                parked.task = self._spawn(self._catch_up(row.stream_id, parked))

    async def _catch_up(self, stream_id: str, parked: _Parked) -> None:
        _log.info("%s: re-sending %s", self._destination, stream_id)
        while True:
            parked.passed = False
            missed = await self._missed(stream_id, parked)
            if missed:
                parked.resending = len(missed)
                parked.acknowledged.clear()
                for event in missed:
                    self._dispatcher.offer(event)
                self._dispatcher.pump()
                await parked.acknowledged.wait()
            elif not parked.passed:
                break
        del self._streams[stream_id]
        self._observer.parked(len(self._streams))
        _log.info("%s: %s has caught up", self._destination, stream_id)
        await self._stubborn(self._checkpoints.unpark, parked.row, parked.held)

    async def _missed(self, stream_id: str, parked: _Parked) -> list[StoredEvent]:
        """The next events that were passed over; what was not read yet takes the usual way."""
        while True:
            try:
                events = await asyncio.to_thread(
                    self._store.read_stored_stream,
                    stream_id,
                    after_version=parked.row.first_version - 1,
                )
            except StoreUnavailable:
                await asyncio.sleep(self._options.poll_max)
                continue
            horizon = parked.held.progress.read
            missed = (
                event for event in events if event.position <= horizon and self._selects(event)
            )
            return list(islice(missed, self._options.page))

    async def _stubborn(
        self,
        write: Callable[[str, str, int, ParkedStream], bool],
        row: ParkedStream,
        held: Held,
    ) -> bool:
        """Write until it succeeds or is fenced off."""
        async with self._writing:
            while True:
                try:
                    return await to_the_end(write, self._destination, self._owner, held.epoch, row)
                except StoreUnavailable:
                    await asyncio.sleep(self._options.poll_max)
