"""Keep the read tables up to date inside the append transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import JSON, Connection, Text, bindparam, cast, func, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite

from eatool.projections.rows import Row, fold_rows
from eatool.projections.tables import READ_TABLES, ReadTable
from eatool.store.port import RecordedEvent

#: Writes rows of one table.
_Write = Callable[[Connection, Sequence[Row]], None]


class ReadModels:
    """The :class:`~eatool.store.projection_port.InlineProjection` of the read tables.

    One upsert per table and batch. Repeating a batch, or part of one, changes nothing: a row
    only moves forward in the log.
    """

    def __init__(self, tables: Mapping[str, ReadTable] = READ_TABLES) -> None:
        self._tables = tables
        self._writers: dict[tuple[str, str], _Write] = {}

    def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        """Fold ``events`` (in log order) into the tables of their kinds."""
        for aggregate_type, rows in fold_rows(events, self._tables).items():
            self._writer(connection.dialect.name, aggregate_type)(connection, rows)

    def _writer(self, dialect: str, aggregate_type: str) -> _Write:
        key = (dialect, aggregate_type)
        if key not in self._writers:
            make = _on_postgresql if dialect == postgresql.dialect.name else _on_sqlite
            self._writers[key] = make(self._tables[aggregate_type])
        return self._writers[key]


def _on_sqlite(read: ReadTable) -> _Write:
    statement = _moving_forward(read, sqlite.insert(read.table))

    def write(connection: Connection, rows: Sequence[Row]) -> None:
        connection.execute(statement, rows)

    return write


def _on_postgresql(read: ReadTable) -> _Write:
    """The rows travel as one JSON parameter: a statement for each costs several times as much."""
    names = [column.name for column in read.table.columns]
    rows = func.json_populate_recordset(
        literal_column(f"NULL::{read.table.name}"), cast(bindparam("rows", type_=Text), JSON)
    ).table_valued(*names)
    insert = postgresql.insert(read.table).from_select(names, select(*rows.c))
    statement = _moving_forward(read, insert)

    def write(connection: Connection, rows: Sequence[Row]) -> None:
        connection.execute(statement, {"rows": orjson.dumps(rows).decode()})

    return write


def _moving_forward(read: ReadTable, insert: postgresql.Insert | sqlite.Insert) -> Any:
    """Insert, or move the row forward; ``created_at`` stays where the batch does not tell it."""
    table, new = read.table, insert.excluded
    changed: dict[str, Any] = {
        column.name: new[column.name] for column in table.columns if not column.primary_key
    }
    changed["created_at"] = func.coalesce(new.created_at, table.c.created_at)
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_=changed,
        where=new.position > table.c.position,
    )
