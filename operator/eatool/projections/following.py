"""Keep the read tables up to date behind the log, for kinds whose appends do not wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, or_, select, update

from eatool.projections.checkpoints import (
    holder,
    positions,
    projection_checkpoint,
    projection_lease,
)
from eatool.projections.tables import PROJECTION
from eatool.store.clock import Clock
from eatool.store.encoding import StoredEvent, Upcast, newest
from eatool.store.port import StoreUnavailable
from eatool.store.projection_port import InlineProjection
from eatool.store.sql.database import Database
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.tables import event

_log = logging.getLogger(__name__)

#: Longest pause between looks at the log, and after a failure, seconds.
_POLL: Final = 0.5
_FAILED: Final = 5.0
#: Events that are counted one by one; a look at a kind far behind must stay cheap.
_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class FollowingLag:
    """How far one kind is behind the log.

    ``events`` of the kind are not in the tables yet (at least so many, beyond 10,000); the first
    of them was recorded ``seconds`` ago. Both are 0 when everything is.
    """

    position: int
    events: int
    seconds: float
    #: When that first event was recorded.
    oldest: datetime | None = None


class Follower:
    """Moves the checkpoints of one projection; of several processes, one at a time does.

    Rows and checkpoints are written in one transaction, so what is done twice after a crash is
    only reading. The projections must bear repetition all the same: a kind may be followed from
    a position it was projected to before.

    Args:
        store: the log.
        projections: what inline projection applies, too, in this order.
        owner: unique among processes.
        lease: seconds that others wait for a process that was killed while it was behind.
        page: events applied in one transaction.
        failed: told of a page that could not be applied.

    """

    def __init__(
        self,
        store: SqlEventStore,
        projections: Sequence[InlineProjection],
        *,
        owner: str,
        projection: str = PROJECTION,
        lease: float = 15.0,
        page: int = 1000,
        upcast: Upcast = newest,
        clock: Clock | None = None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._failed = failed
        self._store = store
        self._projections = tuple(projections)
        self._owner = owner
        self._projection = projection
        self._lease = timedelta(seconds=lease)
        self._page = page
        self._upcast = upcast
        self._database = Database(store.engine, clock=clock)
        #: Whether the last page could not be applied, for another reason than an absent database.
        self.failing = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow until ``stopping`` is set; a page that fails is tried again, for ever."""
        loop, look = asyncio.get_running_loop(), asyncio.Event()

        def wake(_position: int) -> None:
            with suppress(RuntimeError):  # an append of another thread while the loop closes
                loop.call_soon_threadsafe(look.set)

        remove = self._store.on_append(wake)
        try:
            while not stopping.is_set():
                look.clear()
                pause = _POLL
                try:
                    applied = await asyncio.to_thread(self.step)
                    self.failing = False
                    if applied:
                        continue
                except Exception as error:
                    if not isinstance(error, StoreUnavailable):
                        self.failing = True
                        self._failed()
                    # Values of rows stay out of the log of the process.
                    _log.error("projection %s stands: %s", self._projection, type(error).__name__)
                    pause = _FAILED
                    look.clear()
                await _first(stopping, look, pause)
        finally:
            remove()
            with suppress(Exception):
                await asyncio.to_thread(self.release)

    def step(self) -> int:
        """Apply the next page; how many positions of the log it covered.

        0 when there is nothing to do, or another process does it. Blocks. Raises what the
        projections raise, and ``StoreError``.
        """
        with self._database.read() as connection:
            known = positions(connection, self._projection)
            owner, until = holder(connection, self._projection)
            theirs = owner not in {None, self._owner}
            if not known or (
                theirs and until is not None and until > self._database.now(connection)
            ):
                return 0
        front, head = min(known.values()), self._store.head().position
        if front >= head:
            return 0
        events = self._store.read_stored(after=front, limit=self._page)
        through = events[-1].position if events else head
        with self._database.write() as connection:
            if not self._hold(connection):
                return 0
            self._apply(connection, events, front, through)
        return through - front

    def lag(self) -> dict[str, FollowingLag]:
        """See :func:`lags`."""
        return lags(self._database, self._projection)

    def release(self) -> None:
        """Let another process follow at once. Blocks; raises ``StoreError``."""
        with self._database.write() as connection:
            connection.execute(
                update(projection_lease)
                .where(
                    projection_lease.c.projection == self._projection,
                    projection_lease.c.owner == self._owner,
                )
                .values(owner=None, lease_until=None)
            )

    def _apply(
        self, connection: Connection, events: Sequence[StoredEvent], front: int, through: int
    ) -> None:
        """Project what lies behind the checkpoints, as they are now, and move them.

        A kind that is followed since the page was read may have begun before the page does.
        """
        known = {
            aggregate_type: position
            for aggregate_type, position in positions(connection, self._projection).items()
            if front <= position < through
        }
        wanted = [
            each.read(self._upcast)
            for each in events
            if each.position > known.get(each.stream_id.partition("/")[0], through)
        ]
        if wanted:
            for projection in self._projections:
                projection.apply(connection, wanted)
        connection.execute(
            update(projection_checkpoint)
            .where(
                projection_checkpoint.c.projection == self._projection,
                projection_checkpoint.c.aggregate_type.in_(known),
            )
            .values(position=through)
        )

    def _hold(self, connection: Connection) -> bool:
        """Take or renew the lease; its row is locked until the end of the transaction."""
        now = self._database.now(connection)
        lease = projection_lease.c
        held = connection.execute(
            update(projection_lease)
            .where(
                lease.projection == self._projection,
                or_(lease.owner == self._owner, lease.owner.is_(None), lease.lease_until <= now),
            )
            .values(owner=self._owner, lease_until=now + self._lease)
        )
        return held.rowcount == 1


def lags(database: Database, projection: str = PROJECTION) -> dict[str, FollowingLag]:
    """Of every kind that is followed, whoever does it. Blocks; raises ``StoreError``."""
    with database.read() as connection:
        now = database.now(connection)
        return {
            aggregate_type: _lag(connection, aggregate_type, position, now)
            for aggregate_type, position in positions(connection, projection).items()
        }


def _lag(connection: Connection, aggregate_type: str, position: int, now: datetime) -> FollowingLag:
    of_kind = event.c.stream_id.startswith(f"{aggregate_type}/", autoescape=True)
    events, oldest = connection.execute(
        select(func.count(), func.min(event.c.recorded_at)).where(
            event.c.position > position, event.c.position <= position + _COUNTED, of_kind
        )
    ).one()
    if not events:
        # Nothing near is not nothing: whether a kind has everything must never be guessed.
        oldest = connection.scalar(
            select(event.c.recorded_at)
            .where(event.c.position > position + _COUNTED, of_kind)
            .order_by(event.c.position)
            .limit(1)
        )
        events = 0 if oldest is None else 1
    seconds = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    return FollowingLag(position, events, seconds, oldest)


async def _first(stopping: asyncio.Event, look: asyncio.Event, pause: float) -> None:
    """Wait for either event, at most ``pause`` seconds."""
    waits = [asyncio.create_task(each.wait()) for each in (stopping, look)]
    try:
        await asyncio.wait(waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
