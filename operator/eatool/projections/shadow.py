"""The read tables as the log says they should be, beside those that are read.

Shadows are temporary tables of one connection: nobody else sees them, they cost the database no
recovery log, and a process that is killed leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from typing import Final

from sqlalchemy import Column, Connection, MetaData, Table

from eatool.projections.inline import ReadModels
from eatool.projections.tables import ReadTable
from eatool.store.encoding import Upcast, newest
from eatool.store.port import RecordedEvent
from eatool.store.sql.engine import reading
from eatool.store.sql.log import SqlEventStore

_PAGE: Final = 5_000
#: Entities held in memory before they are written.
_HELD: Final = 20_000
#: Entities in one statement.
_WRITTEN: Final = 2_000

#: ``progress(what, done, total)``.
Progress = Callable[[str, int, int], None]


class Shadow:
    """One shadow for each table, and how far in the log it has got."""

    def __init__(
        self,
        store: SqlEventStore,
        connection: Connection,
        tables: Mapping[str, ReadTable],
        upcast: Upcast = newest,
    ) -> None:
        self._store = store
        self._connection = connection
        self._upcast = upcast
        into = MetaData()
        self.tables = {
            kind: replace(read, table=_shadow_of(read.table, into)) for kind, read in tables.items()
        }
        self._models = ReadModels(self.tables)
        self._reached = dict.fromkeys(tables, 0)
        into.create_all(connection, checkfirst=False)

    def catch_up(self, targets: Mapping[str, int], progress: Progress) -> int:
        """Project each kind up to its target position; how many events that took."""
        events, after, end = 0, min(self._reached.values()), max(targets.values())
        latest: dict[str, RecordedEvent] = {}
        born: dict[str, RecordedEvent] = {}
        while after < end and (page := self._store.read_stored(after=after, limit=_PAGE)):
            for stored in page:
                kind = stored.stream_id.partition("/")[0]
                if not self._reached.get(kind, end) < stored.position <= targets.get(kind, 0):
                    continue
                event = stored.read(self._upcast)
                # Events are full snapshots: the last one says all but when the entity was made.
                latest[event.stream_id] = event
                if event.type == self.tables[kind].created_type:
                    born[event.stream_id] = event
                events += 1
            after = page[-1].position
            progress("reading the log", min(after, end), end)
            if len(latest) >= _HELD:
                self._write(latest, born)
        self._write(latest, born)
        self._reached = dict(targets)
        return events

    def _write(self, latest: dict[str, RecordedEvent], born: dict[str, RecordedEvent]) -> None:
        streams = list(latest)
        for start in range(0, len(streams), _WRITTEN):
            part = streams[start : start + _WRITTEN]
            known = [event for each in part for event in (born.get(each), latest[each]) if event]
            self._models.apply(self._connection, sorted(known, key=attrgetter("position")))
        latest.clear()
        born.clear()


@contextmanager
def own_connection(store: SqlEventStore) -> Iterator[Connection]:
    """A connection that is closed in the end, its temporary tables with it.

    Transactions on it are begun by :func:`snapshot` and :func:`writing`.
    """
    with reading(store.engine).connect() as connection:
        connection.detach()
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")
        yield connection


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """See the committed state of one moment, from the first statement on; block nobody."""
    repeatable = " ISOLATION LEVEL REPEATABLE READ"
    with _transaction(connection, repeatable if connection.dialect.name == "postgresql" else ""):
        yield


@contextmanager
def writing(connection: Connection) -> Iterator[None]:
    """Write, and commit at the end."""
    with _transaction(connection, " IMMEDIATE" if connection.dialect.name == "sqlite" else ""):
        yield


@contextmanager
def _transaction(connection: Connection, how: str) -> Iterator[None]:
    connection.exec_driver_sql(f"BEGIN{how}")
    try:
        yield
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


def _shadow_of(table: Table, into: MetaData) -> Table:
    columns = [
        Column(each.name, each.type, primary_key=each.primary_key, nullable=each.nullable)
        for each in table.columns
    ]
    return Table(f"shadow_{table.name}", into, *columns, prefixes=["TEMPORARY"])
