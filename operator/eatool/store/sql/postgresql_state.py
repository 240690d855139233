"""The log on PostgreSQL: what decisions are based on."""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg

from eatool.store.arbiter import KeyHold, LogState, StreamHead
from eatool.store.port import LOOKBACK
from eatool.store.sql.changes import Wanted

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

_Cursor = psycopg.Cursor[tuple[Any, ...]]


class Answers(NamedTuple):
    """Results of :func:`ask`, by table; ``None`` where nothing was asked."""

    state: _Cursor | None
    referrers: _Cursor | None
    types: _Cursor | None
    fences: _Cursor | None


def ask(raw: psycopg.Connection[tuple[Any, ...]], wanted: Wanted) -> Answers:
    """Send the queries for what is wanted; in the caller's pipeline."""
    state = referrers = types = fences = None
    appended, fenced = list(wanted.appended), bool(wanted.fences)
    if len(appended) == 1 and wanted.streams == wanted.appended and not wanted.keys:
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
    return Answers(state, referrers, types, fences)


def take(answers: Answers, state: LogState) -> None:
    """Read the answers into the state."""
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
