"""The log on PostgreSQL, with psycopg: pipelined round trips, COPY for larger batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Engine

from eatool.store.arbiter import KeyHold, LogState, StreamHead
from eatool.store.encoding import StoredEvent, category_of, time_text
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
_NULL = "\\N"
_HEAD = "SELECT position, hash, recorded_at FROM log WHERE id = 1"
_LOCK = f"{_HEAD} FOR UPDATE"
# One statement for all that constraints look at; ``kind`` says which table a row is of.
_STATE = (
    "SELECT 's' AS kind, stream_id AS a, '' AS b, '' AS c, version AS n, alive AS yes "
    "FROM stream WHERE stream_id = ANY(%s) "
    "UNION ALL SELECT 'k', key, holder, '', 0, live FROM unique_key WHERE key = ANY(%s) "
    "UNION ALL SELECT 'k', key, holder, '', 0, live FROM unique_key "
    "WHERE holder = ANY(%s) AND live "
    "UNION ALL SELECT 'r', source, field, target, 0, hard FROM reference WHERE source = ANY(%s)"
)
# One stream and no keys is the common case; scalars spare the driver four arrays.
_STATE_OF_ONE = (
    "SELECT 's' AS kind, stream_id AS a, '' AS b, '' AS c, version AS n, alive AS yes "
    "FROM stream WHERE stream_id = %s "
    "UNION ALL SELECT 'k', key, holder, '', 0, live FROM unique_key WHERE holder = %s AND live "
    "UNION ALL SELECT 'r', source, field, target, 0, hard FROM reference WHERE source = %s"
)
_REFERRERS = "SELECT source, target FROM reference WHERE target = ANY(%s)"
_TYPES = "SELECT category, type, position FROM type_head WHERE category = ANY(%s)"
_ON_STREAM = (
    "ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, alive = excluded.alive"
)
_ON_TYPE = "ON CONFLICT (category, type) DO UPDATE SET position = excluded.position"
_MOVE_HEAD = "UPDATE log SET position = %s, hash = %s, recorded_at = %s WHERE id = 1"
# One event is the common case: everything it needs in one statement.
_PUT_ONE = " ".join(
    (
        "WITH new_event AS (",
        INSERT_EVENT,
        "), new_stream AS (INSERT INTO stream (stream_id, version, alive, category)",
        "VALUES (%s, %s, %s, %s)",
        _ON_STREAM,
        ") INSERT INTO type_head (category, type, position) VALUES (%s, %s, %s)",
        _ON_TYPE,
    )
)
_PUT_ONE_AND_HEAD = " ".join(
    (
        _PUT_ONE.replace(") INSERT INTO type_head", "), new_type AS (INSERT INTO type_head"),
        ")",
        _MOVE_HEAD,
    )
)
_PUT_HEADS = " ".join(
    (
        "WITH new_stream AS (INSERT INTO stream (stream_id, version, alive, category)",
        "SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bool[], %s::text[])",
        _ON_STREAM,
        ") INSERT INTO type_head (category, type, position)",
        "SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[])",
        _ON_TYPE,
    )
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


class PostgresqlBackend:
    """See :class:`~eatool.store.sql.backend.Backend`."""

    def connect(self, engine: Engine) -> Connection:
        """Autocommit, as far as the driver knows: its own BEGIN would be one more round trip."""
        return engine.execution_options(isolation_level="AUTOCOMMIT").connect()

    def lock(self, connection: Connection, wanted: Wanted, *, begin: bool) -> tuple[Head, LogState]:
        """One round trip; each statement after the lock sees what its last owner committed."""
        raw = _raw(connection)
        appended = list(wanted.appended)
        with raw.pipeline():
            if begin:
                raw.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            head = raw.execute(_LOCK)
            if len(appended) == len(wanted.streams) == 1 and not wanted.keys:
                rows = raw.execute(_STATE_OF_ONE, (*appended, *appended, *appended))
            else:
                rows = raw.execute(
                    _STATE, (list(wanted.streams), list(wanted.keys), appended, appended)
                )
            referrers = types = None
            if wanted.deleted:
                referrers = raw.execute(_REFERRERS, (list(wanted.deleted),))
            if wanted.categories:
                types = raw.execute(_TYPES, (list(wanted.categories),))
        state = LogState()
        for kind, a, b, c, number, yes in rows:
            if kind == "s":
                state.streams[a] = StreamHead(number, yes)
            elif kind == "k":
                state.put_key(a, KeyHold(b, yes))
            else:
                state.put_reference(a, (b, c, yes))
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
        end = (head.position, head.hash, head.recorded_at)
        few = len(rows.events) < COPY_FROM
        if not few:
            _copy(raw, rows.events)
        if project is not None:
            with raw.pipeline():
                _put(raw, rows, with_events=few)
            project()
        with raw.pipeline():
            if project is not None:
                raw.execute(_MOVE_HEAD, end)
            else:
                _put(raw, rows, with_events=few, end=end)
            if commit:
                raw.execute("COMMIT")

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


def _put(
    raw: psycopg.Connection[tuple[Any, ...]],
    rows: Rows,
    *,
    with_events: bool,
    end: tuple[object, ...] | None = None,
) -> None:
    """Write the rows, and the head when ``end`` is given; in the caller's pipeline."""
    cursor = raw.cursor()
    streams = [
        (stream_id, head.version, head.alive, category_of(stream_id))
        for stream_id, head in rows.streams
    ]
    types = [(*key, position) for key, position in rows.types]
    if len(rows.events) == 1:
        parameters = (*rows.events[0], *streams[0], *types[0])
        if end is None:
            cursor.execute(_PUT_ONE, parameters)
        else:
            cursor.execute(_PUT_ONE_AND_HEAD, (*parameters, *end))
    else:
        if with_events:
            for event in rows.events:
                cursor.execute(INSERT_EVENT, event)
        cursor.execute(_PUT_HEADS, _columns(streams) + _columns(types))
        if end is not None:
            cursor.execute(_MOVE_HEAD, end)
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
        copy.write("".join([_copy_line(event) for event in events]))


def _copy_line(event: StoredEvent) -> str:
    """One row in COPY's text format.

    JSON, stream ids, types and actors hold no control characters, so that only backslashes need
    an escape.
    """
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
    text = f"{stream_id}\t{version}\t{event_id.hex}\t{type_}\t{data}\t{metadata}\t{actor}"
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    return (
        f"{position}\t{text}\t{correlation_id.hex if correlation_id else _NULL}\t"
        f"{causation_id.hex if causation_id else _NULL}\t{time_text(recorded_at)}\t{partition}\t"
        f"\\\\x{previous_hash.hex()}\t\\\\x{digest.hex()}\n"
    )


def _head(row: tuple[Any, ...] | None) -> Head:
    if row is None:
        raise psycopg.OperationalError("no such table: log is not initialised")
    position, digest, recorded_at = row
    return Head(position, digest, None if recorded_at is None else recorded_at.astimezone(UTC))


def _rows(connection: Connection, sql: str, parameters: tuple[Any, ...]) -> list[StoredEvent]:
    with _raw(connection).cursor(binary=True) as cursor:
        return [StoredEvent._make(row) for row in cursor.execute(sql, parameters)]
