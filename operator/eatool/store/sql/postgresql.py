"""The log on PostgreSQL, with psycopg: pipelined round trips, COPY for larger batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Engine

from eatool.store.arbiter import LogState
from eatool.store.encoding import StoredEvent
from eatool.store.port import Head
from eatool.store.sql.backend import EVENT_COLUMNS
from eatool.store.sql.changes import Rows, Wanted
from eatool.store.sql.postgresql_rows import COPY_EVENTS, MOVE_HEAD, MOVE_HEAD_FROM, copy_line, put
from eatool.store.sql.postgresql_state import ask, take

_COLUMNS = ", ".join(EVENT_COLUMNS)
_SELECT = " ".join(
    (
        "SELECT",
        # The exact text, which the driver would parse otherwise.
        _COLUMNS.replace("data, metadata", "data::text, metadata::text"),
        "FROM event",
    )
)
_BY_IDS = " ".join((_SELECT, "WHERE event_id = ANY(%s) ORDER BY position"))
_BY_STREAM = " ".join((_SELECT, "WHERE stream_id = %s AND version > %s ORDER BY version"))
_BY_STREAM_UNTIL = " ".join(
    (_SELECT, "WHERE stream_id = %s AND version > %s AND recorded_at <= %s ORDER BY version")
)
_PAGE = " ".join((_SELECT, "WHERE position > %s ORDER BY position LIMIT %s"))
_PAGE_OF_PARTITIONS = " ".join(
    (
        _SELECT,
        "WHERE position > %s AND partition = ANY(%s::smallint[]) ORDER BY position LIMIT %s",
    )
)
# ``recorded_at`` never decreases with the position: bisection needs no index.
_POSITION_AT = (
    "WITH RECURSIVE search (low, high) AS ("
    "SELECT 0::bigint, position FROM log WHERE id = 1 UNION ALL "
    "SELECT CASE WHEN recorded_at <= %(time)s THEN position ELSE low END, "
    "CASE WHEN recorded_at <= %(time)s THEN high ELSE position - 1 END "
    "FROM search JOIN event ON position = (low + high + 1) / 2 WHERE low < high"
    ") SELECT low FROM search WHERE low = high"
)
_HEAD = "SELECT position, hash, recorded_at FROM log WHERE id = 1"
_LOCK = f"{_HEAD} FOR UPDATE"
_Cursor = psycopg.Cursor[tuple[Any, ...]]


class PostgresqlBackend:
    """See :class:`~eatool.store.sql.backend.Backend`."""

    #: Beyond it COPY is quicker.
    ahead = 64

    def connect(self, engine: Engine) -> Connection:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        return engine.connect()

    def lock(self, connection: Connection, wanted: Wanted, state: LogState, *, begin: bool) -> Head:
        """One round trip; each statement after the lock sees what its last owner committed.

        The driver begins the transaction, in the same pipeline.
        """
        raw = _raw(connection)
        with raw.pipeline():
            head = raw.execute(_LOCK)
            answers = ask(raw, wanted)
        take(answers, state)
        return _head(head.fetchone())

    def load(self, connection: Connection, wanted: Wanted, state: LogState) -> None:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        raw = _raw(connection)
        with raw.pipeline():
            answers = ask(raw, wanted)
        take(answers, state)

    def write_events(self, connection: Connection, parts: Iterable[Sequence[StoredEvent]]) -> None:
        """COPY beats a pipelined INSERT in spite of its own round trip.

        The server takes in one part while the next is being made.
        """
        with _raw(connection).cursor() as cursor, cursor.copy(COPY_EVENTS) as copy:
            for events in parts:
                copy.write("".join(map(copy_line, events)))

    def write(
        self,
        connection: Connection,
        rows: Rows,
        head: Head,
        project: Callable[[], None] | None,
        *,
        commit: bool,
    ) -> None:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        raw = _raw(connection)
        end = (head.position, head.hash, head.recorded_at)
        if project is not None:
            with raw.pipeline():
                put(raw, rows)
            project()
        with raw.pipeline():
            if project is not None:
                raw.execute(MOVE_HEAD, end)
            else:
                put(raw, rows, end=end)
            committed = raw.execute("COMMIT") if commit else None
        _require_commit(committed)

    def write_from(
        self,
        connection: Connection,
        start: Head,
        rows: Rows,
        head: Head,
        project: Callable[[], None] | None,
    ) -> bool:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        raw = _raw(connection)
        end = (head.position, head.hash, head.recorded_at)
        try:
            with raw.pipeline():
                raw.execute(MOVE_HEAD_FROM, (start.hash, *end))
                put(raw, rows)
                committed = raw.execute("COMMIT") if project is None else None
        except psycopg.errors.NotNullViolation as violation:
            if violation.diag.table_name != "log":
                raise
            return False
        if project is not None:
            project()
            committed = raw.execute("COMMIT")
        _require_commit(committed)
        return True

    def by_ids(self, connection: Connection, ids: Sequence[UUID]) -> list[StoredEvent]:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        return _rows(connection, _BY_IDS, (list(ids),))

    def by_stream(
        self, connection: Connection, stream_id: str, after: int, until: datetime | None
    ) -> list[StoredEvent]:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        if until is None:
            return _rows(connection, _BY_STREAM, (stream_id, after))
        return _rows(connection, _BY_STREAM_UNTIL, (stream_id, after, until))

    def page(
        self,
        connection: Connection,
        after: int,
        limit: int,
        partitions: Collection[int] | None,
    ) -> list[StoredEvent]:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        if partitions is None:
            return _rows(connection, _PAGE, (after, limit))
        return _rows(connection, _PAGE_OF_PARTITIONS, (after, list(partitions), limit))

    def head(self, connection: Connection) -> Head:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        return _head(_raw(connection).execute(_HEAD).fetchone())

    def position_at(self, connection: Connection, time: datetime) -> int:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        row = _raw(connection).execute(_POSITION_AT, {"time": time}).fetchone()
        return 0 if row is None else int(row[0])


def _raw(connection: Connection) -> psycopg.Connection[tuple[Any, ...]]:
    return cast(psycopg.Connection[tuple[Any, ...]], connection.connection.driver_connection)


def _require_commit(committed: psycopg.Cursor[tuple[Any, ...]] | None) -> None:
    """The server answers COMMIT with ROLLBACK, and no error, when a projection hid one."""
    if committed is not None and committed.statusmessage != "COMMIT":
        raise psycopg.errors.InFailedSqlTransaction("a statement failed before, unnoticed")


def _head(row: tuple[Any, ...] | None) -> Head:
    if row is None:
        raise psycopg.OperationalError("no such table: log is not initialised")
    position, digest, recorded_at = row
    return Head(position, digest, None if recorded_at is None else recorded_at.astimezone(UTC))


def _rows(connection: Connection, sql: str, parameters: tuple[Any, ...]) -> list[StoredEvent]:
    with _raw(connection).cursor(binary=True) as cursor:
        return [StoredEvent._make(row) for row in cursor.execute(sql, parameters)]
