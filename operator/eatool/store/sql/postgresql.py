"""The log on PostgreSQL, with psycopg: pipelined round trips, COPY for larger batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID

import psycopg
from sqlalchemy import Connection

from eatool.store.arbiter import KeyHold, LogState, StreamHead
from eatool.store.encoding import StoredEvent, category_of
from eatool.store.port import Head
from eatool.store.sql.backend import EVENT_COLUMNS
from eatool.store.sql.changes import Rows, Wanted

#: From this many rows on, COPY beats a pipelined INSERT in spite of its own round trip.
COPY_FROM: Final = 8

_COLUMNS = ", ".join(EVENT_COLUMNS)
INSERT_EVENT = " ".join(
    ("INSERT INTO event (", _COLUMNS, ") VALUES (", ", ".join(["%s"] * len(EVENT_COLUMNS)), ")")
)
COPY_EVENTS = f"COPY event ({_COLUMNS}) FROM STDIN"
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
_POSITION_AT = (
    "SELECT position FROM event WHERE recorded_at <= %s "
    "ORDER BY recorded_at DESC, position DESC LIMIT 1"
)
_HEAD = "SELECT position, hash, recorded_at FROM log WHERE id = 1"
_LOCK = f"{_HEAD} FOR UPDATE"
_STREAMS = "SELECT stream_id, version, alive FROM stream WHERE stream_id = ANY(%s)"
_KEYS = (
    "SELECT key, holder, live FROM unique_key WHERE key = ANY(%s) "
    "UNION SELECT key, holder, live FROM unique_key WHERE holder = ANY(%s) AND live"
)
_REFERENCES = "SELECT source, field, target, hard FROM reference WHERE source = ANY(%s)"
_REFERRERS = "SELECT source, target FROM reference WHERE target = ANY(%s)"
_TYPES = "SELECT category, type, position FROM type_head WHERE category = ANY(%s)"
_PUT_STREAMS = (
    "INSERT INTO stream (stream_id, version, alive, category) "
    "SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bool[], %s::text[]) "
    "ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, alive = excluded.alive"
)
_PUT_TYPES = (
    "INSERT INTO type_head (category, type, position) "
    "SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) "
    "ON CONFLICT (category, type) DO UPDATE SET position = excluded.position"
)
_PUT_KEYS = (
    "INSERT INTO unique_key (key, holder, live) "
    "SELECT * FROM unnest(%s::text[], %s::text[], %s::bool[]) "
    "ON CONFLICT (key) DO UPDATE SET holder = excluded.holder, live = excluded.live"
)
_PUT_REFERENCES = (
    "INSERT INTO reference (source, field, target, hard) "
    "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bool[])"
)
_DROP_REFERENCES = (
    "DELETE FROM reference USING unnest(%s::text[], %s::text[], %s::text[]) AS gone (s, f, t) "
    "WHERE (source, field, target) = (s, f, t)"
)
_MOVE_HEAD = "UPDATE log SET position = %s, hash = %s, recorded_at = %s WHERE id = 1"


class PostgresqlBackend:
    """See :class:`~eatool.store.sql.backend.Backend`."""

    def lock(self, connection: Connection, wanted: Wanted) -> tuple[Head, LogState]:
        """One round trip; each statement after the lock sees what its last owner committed."""
        raw = _raw(connection)
        appended = list(wanted.appended)
        with raw.pipeline():
            head = raw.execute(_LOCK)
            streams = raw.execute(_STREAMS, (list(wanted.streams),))
            keys = raw.execute(_KEYS, (list(wanted.keys), appended))
            references = raw.execute(_REFERENCES, (appended,))
            referrers = types = None
            if wanted.deleted:
                referrers = raw.execute(_REFERRERS, (list(wanted.deleted),))
            if wanted.categories:
                types = raw.execute(_TYPES, (list(wanted.categories),))
        state = LogState()
        for stream_id, version, alive in streams:
            state.streams[stream_id] = StreamHead(version, alive)
        for key, holder, live in keys:
            state.put_key(key, KeyHold(holder, live))
        for source, name, target, hard in references:
            state.put_reference(source, (name, target, hard))
        for source, target in referrers or ():
            state.referrers.setdefault(target, set()).add(source)
        for category, type_, position in types or ():
            state.type_heads.setdefault(category, {})[type_] = position
        return _head(head.fetchone()), state

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
        few = len(rows.events) < COPY_FROM
        if not few:
            _copy(raw, rows.events)
        if project is not None:
            with raw.pipeline():
                _put(raw, rows, with_events=few)
            project()
        with raw.pipeline():
            if project is None:
                _put(raw, rows, with_events=few)
            raw.execute(_MOVE_HEAD, (head.position, head.hash, head.recorded_at))
            if commit:
                # In the pipeline: the driver's commit() would be one more round trip.
                raw.execute("COMMIT")
        if commit:
            connection.commit()

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
        row = _raw(connection).execute(_POSITION_AT, (time,)).fetchone()
        return 0 if row is None else int(row[0])


def _raw(connection: Connection) -> psycopg.Connection[tuple[Any, ...]]:
    return cast(psycopg.Connection[tuple[Any, ...]], connection.connection.driver_connection)


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _put(raw: psycopg.Connection[tuple[Any, ...]], rows: Rows, *, with_events: bool) -> None:
    cursor = raw.cursor()
    if with_events:
        for event in rows.events:
            cursor.execute(INSERT_EVENT, event)
    streams = [
        (stream_id, head.version, head.alive, category_of(stream_id))
        for stream_id, head in rows.streams
    ]
    cursor.execute(_PUT_STREAMS, _columns(streams))
    cursor.execute(_PUT_TYPES, _columns([(*key, position) for key, position in rows.types]))
    if rows.keys:
        cursor.execute(_PUT_KEYS, _columns([(key, *hold) for key, hold in rows.keys]))
    if rows.dropped:
        dropped = [(source, name, target) for source, (name, target, _) in rows.dropped]
        cursor.execute(_DROP_REFERENCES, _columns(dropped))
    if rows.added:
        added = [(source, *reference) for source, reference in rows.added]
        cursor.execute(_PUT_REFERENCES, _columns(added))


def _copy(raw: psycopg.Connection[tuple[Any, ...]], events: Sequence[StoredEvent]) -> None:
    with raw.cursor() as cursor, cursor.copy(COPY_EVENTS) as copy:
        for event in events:
            copy.write_row(event)


def _head(row: tuple[Any, ...] | None) -> Head:
    if row is None:
        raise psycopg.OperationalError("no such table: log is not initialised")
    position, digest, recorded_at = row
    return Head(position, digest, None if recorded_at is None else recorded_at.astimezone(UTC))


def _rows(connection: Connection, sql: str, parameters: tuple[Any, ...]) -> list[StoredEvent]:
    with _raw(connection).cursor(binary=True) as cursor:
        return [StoredEvent._make(row) for row in cursor.execute(sql, parameters)]
