"""How far a destination is behind the log, whoever serves it: read from the tables alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from eatool.publishing.checkpoints import Checkpoints, ParkedStream
from eatool.publishing.selection import Selection
from eatool.publishing.tables import relay_cursor
from eatool.store.port import PARTITIONS
from eatool.store.sql.database import Database
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.tables import event

#: Events that are counted one by one; a look at a destination far behind must stay cheap.
_COUNTED: Final = 10_000

_Query = TypeVar("_Query", bound=Select[*tuple[Any, ...]])


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


class NotBegun(Exception):
    """A destination has no checkpoints: nobody can say what it has yet to get."""


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

    def oldest(
        self, destination: str, aggregate_type: str, selection: Selection
    ) -> datetime | None:
        """When the oldest event of the kind was recorded that is selected and still to publish.

        ``None``: nothing waits. Never too late: of a destination far behind it may be when the
        first event was recorded that was not looked at. Parked streams are passed over. Raises
        :class:`NotBegun`.
        """
        cursors = self._checkpoints.cursors(destination)
        if len(cursors) < PARTITIONS:
            raise NotBegun(f"broker {destination} has not begun")
        first, head = min(cursor.position for cursor in cursors), self._store.head().position
        waiting = _unpublished(
            select(event.c.recorded_at), destination, first, first + _COUNTED
        ).where(*_selected(aggregate_type, selection))
        with self._database.read() as connection:
            found = connection.scalars(waiting.order_by(event.c.position).limit(1)).first()
            if found is not None or head - first <= _COUNTED:
                return found
            return _recorded_after(connection, first + _COUNTED)

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
        behind = _unpublished(
            select(func.count(), func.min(event.c.recorded_at)),
            destination,
            position,
            min(head, position + _COUNTED),
        )
        with self._database.read() as connection:
            events, oldest = connection.execute(behind).one()
            if head - position <= _COUNTED:
                return events, oldest
            return head - position, oldest or _recorded_after(connection, position)


def _unpublished(query: _Query, destination: str, after: int, through: int) -> _Query:
    """Only the events in this part of the log that its checkpoints have not passed."""
    return (
        query.select_from(event)
        .join(
            relay_cursor,
            (relay_cursor.c.destination == destination)
            & (relay_cursor.c.partition == event.c.partition),
        )
        .where(
            event.c.position > relay_cursor.c.position,
            event.c.position > after,
            event.c.position <= through,
        )
    )


def _selected(aggregate_type: str, selection: Selection) -> Iterator[ColumnElement[bool]]:
    """What :class:`Selection` says of events of one kind, in SQL."""
    inside = [f"{aggregate_type}/{each}/" for each in sorted(selection.namespaces)]
    yield _begins(event.c.stream_id, inside or [f"{aggregate_type}/"])
    if selection.event_types:
        yield _begins(event.c.type, [f"{each}." for each in sorted(selection.event_types)])


def _begins(column: ColumnElement[str], prefixes: Iterable[str]) -> ColumnElement[bool]:
    return or_(*(column.startswith(each, autoescape=True) for each in prefixes))


def _recorded_after(connection: Connection, position: int) -> datetime | None:
    query = select(event.c.recorded_at).where(event.c.position > position)
    return connection.scalars(query.order_by(event.c.position).limit(1)).first()
