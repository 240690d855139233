"""The log on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import orjson
from sqlalchemy import Connection, Engine

from eatool.store.arbiter import KeyHold, LogState, StreamHead
from eatool.store.encoding import StoredEvent
from eatool.store.port import LOOKBACK, Head
from eatool.store.sql.backend import EVENT_COLUMNS
from eatool.store.sql.changes import Rows, Wanted

_COLUMNS = ", ".join(EVENT_COLUMNS)
INSERT_EVENT = " ".join(
    ("INSERT INTO event (", _COLUMNS, ") VALUES (", ", ".join("?" * len(EVENT_COLUMNS)), ")")
)
_SELECT = " ".join(("SELECT", _COLUMNS, "FROM event"))
_BY_IDS = " ".join(
    (_SELECT, "WHERE event_id IN (SELECT value FROM json_each(?)) ORDER BY position")
)
_BY_STREAM = " ".join((_SELECT, "WHERE stream_id = ? AND version > ? ORDER BY version"))
_BY_STREAM_UNTIL = " ".join(
    (_SELECT, "WHERE stream_id = ? AND version > ? AND recorded_at <= ? ORDER BY version")
)
_PAGE = " ".join((_SELECT, "WHERE position > ? ORDER BY position LIMIT ?"))
# The unary plus keeps the planner on the primary key, where order comes for free.
_PAGE_OF_PARTITIONS = " ".join(
    (
        _SELECT,
        "WHERE position > ? AND +partition IN (SELECT value FROM json_each(?))",
        "ORDER BY position LIMIT ?",
    )
)
# ``recorded_at`` never decreases with the position: bisection needs no index.
_POSITION_AT = (
    "WITH RECURSIVE search (low, high) AS ("
    "SELECT 0, position FROM log WHERE id = 1 UNION ALL "
    "SELECT CASE WHEN recorded_at <= ?1 THEN position ELSE low END, "
    "CASE WHEN recorded_at <= ?1 THEN high ELSE position - 1 END "
    "FROM search JOIN event ON position = (low + high + 1) / 2 WHERE low < high"
    ") SELECT low FROM search WHERE low = high"
)
_HEAD = "SELECT position, hash, recorded_at FROM log WHERE id = 1"
_STREAMS = (
    "SELECT stream_id, (SELECT max(version) FROM event WHERE event.stream_id = stream.stream_id), "
    "alive FROM stream WHERE stream_id IN "
    "(SELECT value FROM json_each(?))"
)
_STREAM = (
    "SELECT stream_id, (SELECT max(version) FROM event WHERE event.stream_id = stream.stream_id), "
    "alive FROM stream WHERE stream_id = ?"
)
_KEYS = (
    "SELECT key, holder, live FROM unique_key WHERE key IN (SELECT value FROM json_each(?1)) "
    "UNION SELECT key, holder, live FROM unique_key "
    "WHERE holder IN (SELECT value FROM json_each(?2)) AND live"
)
_REFERENCES = (
    "SELECT source, field, target, hard FROM reference WHERE source IN "
    "(SELECT value FROM json_each(?))"
)
_REFERRERS = "SELECT source, target FROM reference WHERE target IN (SELECT value FROM json_each(?))"
_TYPES = (
    "SELECT stream_id, type, position FROM event WHERE position > "
    "max(?, (SELECT position FROM log WHERE id = 1) - ?) ORDER BY position"
)
_PUT_STREAM = (
    "INSERT INTO stream (stream_id, alive) VALUES (?, ?) "
    "ON CONFLICT (stream_id) DO UPDATE SET alive = excluded.alive"
)
_PUT_KEY = (
    "INSERT INTO unique_key (key, holder, live) VALUES (?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET holder = excluded.holder, live = excluded.live"
)
_PUT_REFERENCE = "INSERT INTO reference (source, field, target, hard) VALUES (?, ?, ?, ?)"
_DROP_REFERENCE = "DELETE FROM reference WHERE source = ? AND field = ? AND target = ?"
_FENCES = "SELECT name, epoch FROM fence WHERE name IN (SELECT value FROM json_each(?))"
_MOVE_FENCE = (
    "INSERT INTO fence (name, epoch) VALUES (?, ?) "
    "ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch"
)
_MOVE_HEAD = "UPDATE log SET position = ?, hash = ?, recorded_at = ? WHERE id = 1"


class SqliteBackend:
    """See :class:`~eatool.store.sql.backend.Backend`."""

    ahead = 512

    def connect(self, engine: Engine) -> Connection:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        return engine.connect()

    def lock(self, connection: Connection, wanted: Wanted, state: LogState, *, begin: bool) -> Head:
        """The transaction is the lock: it begins with ``BEGIN IMMEDIATE``."""
        if begin:
            connection.begin()
        head = self.head(connection)
        self.load(connection, wanted, state)
        return head

    def load(self, connection: Connection, wanted: Wanted, state: LogState) -> None:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        cursor = _cursor(connection)
        if wanted.streams:
            self._load_streams(cursor, state, wanted.streams)
        existing = [each for each in wanted.appended if each in state.streams]
        if existing or wanted.keys:
            self._load_holds(cursor, state, wanted, existing)
        if wanted.named:
            for source, target in cursor.execute(_REFERRERS, (_array(wanted.named),)):
                state.referrers.setdefault(target, set()).add(source)
        if wanted.decided_at is not None:
            for row in cursor.execute(_TYPES, (wanted.decided_at, LOOKBACK)):
                state.put_type(*row)
        if wanted.fences:
            state.fences.update(cursor.execute(_FENCES, (_array(wanted.fences),)))

    @staticmethod
    def _load_streams(cursor: sqlite3.Cursor, state: LogState, streams: set[str]) -> None:
        if len(streams) == 1:
            cursor.execute(_STREAM, tuple(streams))
        else:
            cursor.execute(_STREAMS, (_array(streams),))
        for stream_id, version, alive in cursor:
            state.streams[stream_id] = StreamHead(version, bool(alive))

    @staticmethod
    def _load_holds(
        cursor: sqlite3.Cursor, state: LogState, wanted: Wanted, existing: list[str]
    ) -> None:
        mine = _array(existing)
        for key, holder, live in cursor.execute(_KEYS, (_array(wanted.keys), mine)):
            state.put_key(key, KeyHold(holder, bool(live)))
        for source, name, target, hard in cursor.execute(_REFERENCES, (mine,)):
            state.put_reference(source, (name, target, bool(hard)))

    def write_events(self, connection: Connection, parts: Iterable[Sequence[StoredEvent]]) -> None:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        cursor = _cursor(connection)
        for events in parts:
            cursor.executemany(INSERT_EVENT, event_rows(events))

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
        cursor = _cursor(connection)
        if rows.events:
            cursor.executemany(INSERT_EVENT, event_rows(rows.events))
        if rows.streams:
            cursor.executemany(_PUT_STREAM, rows.streams)
        if rows.keys:
            cursor.executemany(_PUT_KEY, [(key, *hold) for key, hold in rows.keys])
        if rows.dropped:
            cursor.executemany(
                _DROP_REFERENCE,
                [(source, name, target) for source, (name, target, _) in rows.dropped],
            )
        if rows.added:
            cursor.executemany(
                _PUT_REFERENCE, [(source, *reference) for source, reference in rows.added]
            )
        if rows.fences:
            cursor.executemany(_MOVE_FENCE, rows.fences)
        if project is not None:
            project()
        cursor.execute(_MOVE_HEAD, _head_row(head))
        if commit:
            connection.commit()

    def write_from(
        self,
        connection: Connection,
        start: Head,
        rows: Rows,
        head: Head,
        project: Callable[[], None] | None,
    ) -> bool:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        connection.begin()
        if self.head(connection).hash != start.hash:
            return False
        self.write(connection, rows, head, project, commit=True)
        return True

    def by_ids(self, connection: Connection, ids: Sequence[UUID]) -> list[StoredEvent]:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        return _rows(connection, _BY_IDS, (_array(each.hex for each in ids),))

    def by_stream(
        self, connection: Connection, stream_id: str, after: int, until: datetime | None
    ) -> list[StoredEvent]:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        if until is None:
            return _rows(connection, _BY_STREAM, (stream_id, after))
        return _rows(connection, _BY_STREAM_UNTIL, (stream_id, after, _time(until)))

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
        return _rows(connection, _PAGE_OF_PARTITIONS, (after, _array(partitions), limit))

    def head(self, connection: Connection) -> Head:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        return _head(_cursor(connection).execute(_HEAD))

    def position_at(self, connection: Connection, time: datetime) -> int:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        (position,) = _cursor(connection).execute(_POSITION_AT, (_time(time),)).fetchone()
        return int(position)


def _cursor(connection: Connection) -> sqlite3.Cursor:
    return cast(sqlite3.Connection, connection.connection.driver_connection).cursor()


def _array(values: Iterable[str | int]) -> str:
    return orjson.dumps(list(values)).decode()


def _rows(connection: Connection, sql: str, parameters: tuple[Any, ...]) -> list[StoredEvent]:
    return [_from_row(row) for row in _cursor(connection).execute(sql, parameters)]


def _head(cursor: sqlite3.Cursor) -> Head:
    row = cursor.fetchone()
    if row is None:
        raise sqlite3.OperationalError("no such table: log is not initialised")
    position, digest, recorded_at = row
    return Head(position, digest, None if recorded_at is None else _parse_time(recorded_at))


def _head_row(head: Head) -> tuple[int, bytes, str | None]:
    recorded_at = None if head.recorded_at is None else _time(head.recorded_at)
    return head.position, head.hash, recorded_at


@lru_cache(maxsize=16)  # all events of a commit share their time
def _time(time: datetime) -> str:
    """How SQLAlchemy's own column type writes it: fixed width, so text order is time order."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


@lru_cache(maxsize=16)
def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def event_rows(events: Sequence[StoredEvent]) -> list[tuple[object, ...]]:
    """The rows as SQLite keeps them."""
    return [_row(event) for event in events]


def _row(event: StoredEvent) -> tuple[object, ...]:
    (
        position,
        stream_id,
        version,
        event_id,
        type_,
        data,
        metadata,
        actor,
        correlation_id,
        causation_id,
        recorded_at,
        partition,
        previous_hash,
        digest,
    ) = event
    return (
        position,
        stream_id,
        version,
        event_id.hex,
        type_,
        data,
        metadata,
        actor,
        None if correlation_id is None else correlation_id.hex,
        None if causation_id is None else causation_id.hex,
        _time(recorded_at),
        partition,
        previous_hash,
        digest,
    )


def _from_row(row: tuple[Any, ...]) -> StoredEvent:
    return StoredEvent(
        row[0],
        row[1],
        row[2],
        UUID(hex=row[3]),
        row[4],
        row[5],
        row[6],
        row[7],
        row[8] and UUID(hex=row[8]),
        row[9] and UUID(hex=row[9]),
        _parse_time(row[10]),
        row[11],
        row[12],
        row[13],
    )
