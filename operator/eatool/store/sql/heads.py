"""Whether the tables that appends are decided on agree with the log and with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, Select, exists, func, select

from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.tables import event, reference, stream, unique_key

#: Names shown for each kind of disagreement.
SHOWN: Final = 5

#: Begins a transaction that sees one state of the database and takes no lock.
_SNAPSHOT: Final[Mapping[str, str]] = {
    "sqlite": "BEGIN DEFERRED",
    "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
}

_LIVING = select(stream.c.stream_id).where(stream.c.alive)

#: Selects the names that break each rule.
RULES: Final[Mapping[str, Select[tuple[str]]]] = {
    "a stream of the log has no row in stream": (
        select(event.c.stream_id)
        .where(event.c.version == 1)
        .where(~exists().where(stream.c.stream_id == event.c.stream_id))
    ),
    "a row of stream has no events": (
        select(stream.c.stream_id).where(~exists().where(event.c.stream_id == stream.c.stream_id))
    ),
    "a live key belongs to a stream that is not alive": (
        select(unique_key.c.key).where(unique_key.c.live, unique_key.c.holder.not_in(_LIVING))
    ),
    "a reference comes from a stream that is not alive": (
        select(reference.c.source).where(reference.c.source.not_in(_LIVING)).distinct()
    ),
}


def disagreements(store: SqlEventStore) -> dict[str, tuple[int, list[str]]]:
    """Broken rules, each with how many rows break it and the first of them; empty when sound.

    One snapshot: appends go on beside it. Reads indexes only, but all of ``stream``.
    """
    with store.connect() as connection:
        connection.exec_driver_sql(_SNAPSHOT[connection.dialect.name])
        try:
            found = {rule: _look(connection, query) for rule, query in RULES.items()}
        finally:
            connection.exec_driver_sql("ROLLBACK")
    return {rule: (count, names) for rule, (count, names) in found.items() if count}


def _look(connection: Connection, query: Select[tuple[str]]) -> tuple[int, list[str]]:
    rows = query.subquery()
    count = connection.scalar(select(func.count()).select_from(rows)) or 0
    names = connection.scalars(select(rows.c[0]).order_by(rows.c[0]).limit(SHOWN)).all()
    return count, list(names)
