"""The log on PostgreSQL, with psycopg: pipelined round trips, COPY for larger batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

import orjson
import psycopg
from sqlalchemy import Connection, Engine

from eatool.store.arbiter import KeyHold, LogState, StreamHead
from eatool.store.encoding import StoredEvent, time_text
from eatool.store.port import LOOKBACK, Head
from eatool.store.sql.backend import EVENT_COLUMNS
from eatool.store.sql.changes import Rows, Wanted

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
# ``recorded_at`` never decreases with the position: bisection needs no index.
_POSITION_AT = (
    "WITH RECURSIVE search (low, high) AS ("
    "SELECT 0::bigint, position FROM log WHERE id = 1 UNION ALL "
    "SELECT CASE WHEN recorded_at <= %(time)s THEN position ELSE low END, "
    "CASE WHEN recorded_at <= %(time)s THEN high ELSE position - 1 END "
    "FROM search JOIN event ON position = (low + high + 1) / 2 WHERE low < high"
    ") SELECT low FROM search WHERE low = high"
)
_NULL = "\\N"
_HEAD = "SELECT position, hash, recorded_at FROM log WHERE id = 1"
_LOCK = f"{_HEAD} FOR UPDATE"
# One statement for all that constraints look at; ``kind`` says which table a row is of.
_STATE = (
    "SELECT 's' AS kind, stream_id AS a, '' AS b, '' AS c, ("
    "SELECT version FROM event WHERE event.stream_id = stream.stream_id "
    "ORDER BY version DESC LIMIT 1) AS n, alive AS yes "
    "FROM stream WHERE stream_id = ANY(%s) "
    "UNION ALL SELECT 'k', key, holder, '', 0, live FROM unique_key WHERE key = ANY(%s) "
    "UNION ALL SELECT 'k', key, holder, '', 0, live FROM unique_key "
    "WHERE holder = ANY(%s) AND live "
    "UNION ALL SELECT 'r', source, field, target, 0, hard FROM reference WHERE source = ANY(%s)"
)
# One stream and no keys is the common case; scalars spare the driver four arrays.
_STATE_OF_ONE = (
    "SELECT 's' AS kind, stream_id AS a, '' AS b, '' AS c, ("
    "SELECT version FROM event WHERE event.stream_id = stream.stream_id "
    "ORDER BY version DESC LIMIT 1) AS n, alive AS yes "
    "FROM stream WHERE stream_id = %s "
    "UNION ALL SELECT 'k', key, holder, '', 0, live FROM unique_key WHERE holder = %s AND live "
    "UNION ALL SELECT 'r', source, field, target, 0, hard FROM reference WHERE source = %s"
)
# A statement of its own would be dearer than the few rows that there are.
_AND_FENCES = " UNION ALL SELECT 'f', name, '', '', epoch, true FROM fence"
_STATE_AND_FENCES = _STATE + _AND_FENCES
_STATE_OF_ONE_AND_FENCES = _STATE_OF_ONE + _AND_FENCES
_REFERRERS = "SELECT source, target FROM reference WHERE target = ANY(%s)"
_TYPES = (
    "SELECT stream_id, type, position FROM event WHERE position > "
    "greatest(%s, (SELECT position FROM log WHERE id = 1) - %s) ORDER BY position"
)
_FENCES = "SELECT name, epoch FROM fence WHERE name = ANY(%s)"
_MOVE_FENCE = (
    "INSERT INTO fence (name, epoch) VALUES (%s, %s) "
    "ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch"
)
# Without a position, which the column refuses, when the head is not where it was left: that ends
# the transaction, and skips the rest of the pipeline.
_MOVE_HEAD_FROM = (
    "UPDATE log SET position = CASE WHEN hash = %s THEN %s::bigint END, hash = %s, "
    "recorded_at = %s WHERE id = 1"
)
_MOVE_HEAD = "UPDATE log SET position = %s, hash = %s, recorded_at = %s WHERE id = 1"
# One event is the common case: it and the head in one statement.
_PUT_ONE_AND_HEAD = f"WITH new_event AS ({INSERT_EVENT}) {_MOVE_HEAD}"
_TYPES_OF_COLUMNS = {
    "position": "bigint",
    "version": "int",
    "event_id": "uuid",
    "correlation_id": "uuid",
    "causation_id": "uuid",
    "recorded_at": "timestamptz",
    "partition": "smallint",
    "previous_hash": "bytea",
    "hash": "bytea",
}
# Several events in one round trip, which COPY needs two for. JSON travels as text in it, so that
# it arrives as it was written.
_PUT_SOME = " ".join(
    (
        "INSERT INTO event (",
        _COLUMNS,
        ") SELECT",
        _COLUMNS.replace("data, metadata", "data::json, metadata::json"),
        "FROM json_to_recordset(%s::json) AS e (",
        ", ".join(f"{name} {_TYPES_OF_COLUMNS.get(name, 'text')}" for name in EVENT_COLUMNS),
        ")",
    )
)
_PUT_STREAMS = (
    "INSERT INTO stream (stream_id, alive) SELECT * FROM unnest(%s::text[], %s::bool[]) "
    "ON CONFLICT (stream_id) DO UPDATE SET alive = excluded.alive"
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
            answers = _ask(raw, wanted)
        _take(answers, state)
        return _head(head.fetchone())

    def load(self, connection: Connection, wanted: Wanted, state: LogState) -> None:
        """See :class:`~eatool.store.sql.backend.Backend`."""
        raw = _raw(connection)
        with raw.pipeline():
            answers = _ask(raw, wanted)
        _take(answers, state)

    def write_events(self, connection: Connection, parts: Iterable[Sequence[StoredEvent]]) -> None:
        """COPY beats a pipelined INSERT in spite of its own round trip.

        The server takes in one part while the next is being made.
        """
        with _raw(connection).cursor() as cursor, cursor.copy(COPY_EVENTS) as copy:
            for events in parts:
                copy.write("".join(map(_copy_line, events)))

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
                _put(raw, rows)
            project()
        with raw.pipeline():
            if project is not None:
                raw.execute(_MOVE_HEAD, end)
            else:
                _put(raw, rows, end=end)
            if commit:
                raw.execute("COMMIT")

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
                raw.execute(_MOVE_HEAD_FROM, (start.hash, *end))
                _put(raw, rows)
                if project is None:
                    raw.execute("COMMIT")
        except psycopg.errors.NotNullViolation as violation:
            if violation.diag.table_name != "log":
                raise
            return False
        if project is not None:
            project()
            raw.execute("COMMIT")
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


class _Answers(NamedTuple):
    """Results of :func:`_ask`, by table; ``None`` where nothing was asked."""

    state: _Cursor | None
    referrers: _Cursor | None
    types: _Cursor | None
    fences: _Cursor | None


def _ask(raw: psycopg.Connection[tuple[Any, ...]], wanted: Wanted) -> _Answers:
    """Send the queries for what is wanted; in the caller's pipeline."""
    state = referrers = types = fences = None
    appended, fenced = list(wanted.appended), bool(wanted.fences)
    if len(appended) == len(wanted.streams) == 1 and not wanted.keys:
        query = _STATE_OF_ONE_AND_FENCES if fenced else _STATE_OF_ONE
        state = raw.execute(query, (*appended, *appended, *appended))
    elif wanted.streams or wanted.keys or appended:
        query = _STATE_AND_FENCES if fenced else _STATE
        state = raw.execute(query, (list(wanted.streams), list(wanted.keys), appended, appended))
    elif fenced:
        fences = raw.execute(_FENCES, (list(wanted.fences),))
    if wanted.named:
        referrers = raw.execute(_REFERRERS, (list(wanted.named),))
    if wanted.decided_at is not None:
        types = raw.execute(_TYPES, (wanted.decided_at, LOOKBACK))
    return _Answers(state, referrers, types, fences)


def _take(answers: _Answers, state: LogState) -> None:
    for kind, a, b, c, number, yes in answers.state or ():
        if kind == "s":
            state.streams[a] = StreamHead(number, yes)
        elif kind == "k":
            state.put_key(a, KeyHold(b, yes))
        elif kind == "f":
            state.fences[a] = number
        else:
            state.put_reference(a, (b, c, yes))
    for source, target in answers.referrers or ():
        state.referrers.setdefault(target, set()).add(source)
    for row in answers.types or ():
        state.put_type(*row)
    state.fences.update(answers.fences or ())


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _put(
    raw: psycopg.Connection[tuple[Any, ...]],
    rows: Rows,
    *,
    end: tuple[object, ...] | None = None,
) -> None:
    """Write the rows, and the head when ``end`` is given; in the caller's pipeline."""
    cursor = raw.cursor()
    if len(rows.events) == 1 and end is not None:
        cursor.execute(_PUT_ONE_AND_HEAD, (*rows.events[0], *end))
    else:
        if len(rows.events) == 1:
            cursor.execute(INSERT_EVENT, rows.events[0])
        elif rows.events:
            cursor.execute(_PUT_SOME, (_json_rows(rows.events),))
        if end is not None:
            cursor.execute(_MOVE_HEAD, end)
    if rows.streams:
        cursor.execute(_PUT_STREAMS, _columns(rows.streams))
    if rows.keys:
        cursor.execute(_PUT_KEYS, _columns([(key, *hold) for key, hold in rows.keys]))
    if rows.dropped:
        dropped = [(source, name, target) for source, (name, target, _) in rows.dropped]
        cursor.execute(_DROP_REFERENCES, _columns(dropped))
    for fence in rows.fences:
        cursor.execute(_MOVE_FENCE, fence)
    if rows.added:
        added = [(source, *reference) for source, reference in rows.added]
        cursor.execute(_PUT_REFERENCES, _columns(added))


def _json_rows(events: Sequence[StoredEvent]) -> str:
    rows = []
    for event in events:
        row = event._asdict()
        row["previous_hash"] = f"\\x{event.previous_hash.hex()}"
        row["hash"] = f"\\x{event.hash.hex()}"
        rows.append(row)
    return orjson.dumps(rows).decode()


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
