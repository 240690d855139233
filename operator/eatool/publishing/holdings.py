"""The partitions this process holds: claiming, renewing, writing down progress, giving back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable

from eatool.publishing.blocking import to_the_end
from eatool.publishing.checkpoints import Checkpoints, Cursor, ParkedStream
from eatool.publishing.window import Progress
from eatool.store.port import PARTITIONS

_log = logging.getLogger(__name__)


class Held:
    """One leased partition."""

    __slots__ = ("draining", "epoch", "partition", "progress", "saved", "sent", "touched")

    def __init__(self, cursor: Cursor) -> None:
        self.partition = cursor.partition
        self.epoch = cursor.epoch
        self.saved = cursor.position
        self.progress = Progress(cursor.position)
        #: Acknowledgements so far; written down with the next position.
        self.sent = cursor.sent
        #: Something was finished or passed over since the last save: worth a write of its own.
        self.touched = False
        #: More than our share: nothing new is sent, then it is given back.
        self.draining = False

    @property
    def cursor(self) -> Cursor:
        """What would be written down now."""
        return Cursor(self.partition, self.progress.position, self.epoch, self.sent)


class Holdings:
    """Leases of one relay process; the event loop owns it, the database is asked in threads."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        destination: str,
        owner: str,
        *,
        lease: float,
        start: int,
        clock: Callable[[], float],
        on_gain: Callable[[Iterable[Held], Iterable[ParkedStream]], None],
        on_loss: Callable[[Collection[int]], None],
    ) -> None:
        self._checkpoints = checkpoints
        self._destination = destination
        self._owner = owner
        self._lease = lease
        self._start = start
        self._clock = clock
        self._on_gain = on_gain
        self._on_loss = on_loss
        self._writing = asyncio.Lock()
        self._valid_until = 0.0
        self._lapsed = False
        self.held: dict[int, Held] = {}

    @property
    def valid(self) -> bool:
        """Whether the leases still hold by our own clock; when not, nothing may be sent."""
        return self._clock() < self._valid_until

    async def claim(self) -> None:
        """Renew and take; gives up at once what somebody else has taken meanwhile."""
        async with self._writing:
            if self._lapsed:
                # A fresh claim raises the epochs: what the past may still write is fenced off.
                await to_the_end(
                    self._checkpoints.release, self._destination, self._owner, range(PARTITIONS)
                )
                self._lapsed = False
            # The lease counts from before the question: we stop before anybody may start.
            asked = self._clock()
            claim = await to_the_end(
                self._checkpoints.claim,
                self._destination,
                self._owner,
                lease=self._lease,
                start=self._start,
            )
            epochs = {cursor.partition: cursor.epoch for cursor in claim.held}
            self._drop([p for p, held in self.held.items() if epochs.get(p) != held.epoch])
            gained = [Held(cursor) for cursor in claim.held if cursor.partition not in self.held]
            parked = await self._parked([held.partition for held in gained]) if gained else []
            self._valid_until = asked + self._lease
            self.held.update((held.partition, held) for held in gained)
            if gained:
                _log.info("%s: took over %d partitions", self._destination, len(gained))
                self._on_gain(gained, parked)
            self._shed(claim.excess)

    async def flush(self, *, everything: bool = False) -> None:
        """Write cursors that moved; without ``everything`` only where there were events."""
        async with self._writing:
            await self._flush(everything=everything)

    async def give_back(self, partitions: Collection[int]) -> None:
        """Write down and release partitions that have nothing in flight any more."""
        async with self._writing:
            await self._flush(everything=True)
            mine = [partition for partition in partitions if partition in self.held]
            self._drop(mine)
            await to_the_end(self._checkpoints.release, self._destination, self._owner, mine)
            _log.info("%s: gave back %d partitions", self._destination, len(mine))

    async def leave(self) -> None:
        """Write down everything and stop being a member."""
        async with self._writing:
            await self._flush(everything=True)
            self._drop(list(self.held))
            await to_the_end(self._checkpoints.leave, self._destination, self._owner)

    def drop_all(self) -> None:
        """Our leases ran out before we could renew them: others may be sending already."""
        if self.held:
            _log.warning("%s: leases ran out, giving up all partitions", self._destination)
            self._lapsed = True
            self._drop(list(self.held))

    async def _flush(self, *, everything: bool) -> None:
        moved = [
            held
            for held in self.held.values()
            if (everything or held.touched) and held.progress.position > held.saved
        ]
        if not moved:
            return
        cursors = [held.cursor for held in moved]
        for held in moved:
            held.touched = False
        refused = await to_the_end(self._checkpoints.save, self._destination, self._owner, cursors)
        for held, cursor in zip(moved, cursors, strict=True):
            held.saved = cursor.position
        self._drop(refused)

    async def _parked(self, partitions: Collection[int]) -> list[ParkedStream]:
        return await asyncio.to_thread(self._checkpoints.parked, self._destination, partitions)

    def _shed(self, excess: int) -> None:
        """Mark the highest partitions for draining, so that both sides agree on the rest."""
        for partition in sorted(self.held, reverse=True):
            held = self.held[partition]
            held.draining = excess > 0
            excess -= 1

    def _drop(self, partitions: Iterable[int]) -> None:
        lost = [partition for partition in partitions if self.held.pop(partition, None)]
        if lost:
            self._on_loss(lost)
