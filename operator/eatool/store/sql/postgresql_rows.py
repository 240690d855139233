"""The log on PostgreSQL: the rows of a commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import psycopg

from eatool.store.encoding import StoredEvent, time_text
from eatool.store.sql.backend import EVENT_COLUMNS
from eatool.store.sql.changes import Rows

_COLUMNS = ", ".join(EVENT_COLUMNS)
INSERT_EVENT = " ".join(
    ("INSERT INTO event (", _COLUMNS, ") VALUES (", ", ".join(["%s"] * len(EVENT_COLUMNS)), ")")
)
COPY_EVENTS = f"COPY event ({_COLUMNS}) FROM STDIN"
_NULL = "\\N"
_MOVE_FENCE = (
    "INSERT INTO fence (name, epoch) VALUES (%s, %s) "
    "ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch"
)
# Without a position, which the column refuses, when the head is not where it was left: that ends
# the transaction, and skips the rest of the pipeline.
MOVE_HEAD_FROM = (
    "UPDATE log SET position = CASE WHEN hash = %s THEN %s::bigint END, hash = %s, "
    "recorded_at = %s WHERE id = 1"
)
MOVE_HEAD = "UPDATE log SET position = %s, hash = %s, recorded_at = %s WHERE id = 1"
# One event is the common case: it and the head in one statement.
_PUT_ONE_AND_HEAD = f"WITH new_event AS ({INSERT_EVENT}) {MOVE_HEAD}"
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


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def put(
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
            cursor.execute(MOVE_HEAD, end)
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


def copy_line(event: StoredEvent) -> str:
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
