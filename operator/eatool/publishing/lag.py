"""How far a destination is behind the log, whoever serves it: read from the tables alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select

from eatool.publishing.checkpoints import Checkpoints, ParkedStream
from eatool.publishing.tables import relay_cursor
from eatool.store.port import PARTITIONS
from eatool.store.sql.database import Database
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.tables import event

#: Events that are counted one by one; a look at a destination far behind must stay cheap.
_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Lag:
    """One look at the checkpoints of a destination.

    Attributes:
        known: it has checkpoints; without, nothing has been published and all figures are 0.
        position: everything up to here is published or parked.
        head: end of the log.
        events: still to publish; exact when not far behind, else an upper bound.
        oldest: when the first of them was recorded.
        parked: streams that are passed over, oldest first.

    """

    known: bool
    position: int
    head: int
    events: int
    oldest: datetime | None
    parked: tuple[ParkedStream, ...]


class LagReader:
    """Blocks; raises :class:`~eatool.store.port.StoreUnavailable` when the database is away."""

    def __init__(self, store: SqlEventStore, checkpoints: Checkpoints) -> None:
        self._store = store
        self._checkpoints = checkpoints
        self._database = Database(store.engine)

    def lag(self, destination: str) -> Lag:
        """The figures of a destination as they are now."""
        cursors = self._checkpoints.cursors(destination)
        head = self._store.head().position
        parked = tuple(self._checkpoints.parked(destination))
        if len(cursors) < PARTITIONS:
            return Lag(known=False, position=0, head=head, events=0, oldest=None, parked=parked)
        position = min(cursor.position for cursor in cursors)
        events, oldest = self._behind(destination, position, head) if position < head else (0, None)
        if not events:
            # Partitions without events catch up a little later than those with them.
            position = head
        return Lag(known=True, position=position, head=head, events=events, oldest=oldest,
                   parked=parked)  # fmt: skip

    def newest(self, stream_ids: Collection[str]) -> Mapping[str, int]:
        """Newest version of each stream."""
        query = (
            select(event.c.stream_id, func.max(event.c.version).label("newest"))
            .where(event.c.stream_id.in_(stream_ids))
            .group_by(event.c.stream_id)
        )
        with self._database.read() as connection:
            return {row.stream_id: row.newest for row in connection.execute(query)}

    def _behind(self, destination: str, position: int, head: int) -> tuple[int, datetime | None]:
        behind = (
            select(func.count(), func.min(event.c.recorded_at))
            .select_from(event)
            .join(
                relay_cursor,
                (relay_cursor.c.destination == destination)
                & (relay_cursor.c.partition == event.c.partition),
            )
            .where(
                event.c.position > relay_cursor.c.position,
                event.c.position > position,
                event.c.position <= min(head, position + _COUNTED),
            )
        )
        with self._database.read() as connection:
            events, oldest = connection.execute(behind).one()
            if head - position <= _COUNTED:
                return events, oldest
            return head - position, oldest or _recorded_after(connection, position)


def _recorded_after(connection: Connection, position: int) -> datetime | None:
    query = select(event.c.recorded_at).where(event.c.position > position)
    return connection.scalars(query.order_by(event.c.position).limit(1)).first()
