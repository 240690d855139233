"""Keep the read tables up to date inside the append transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func
from sqlalchemy.dialects import postgresql, sqlite

from eatool.projections.rows import fold_rows
from eatool.projections.tables import READ_TABLES, ReadTable
from eatool.store.port import RecordedEvent


class ReadModels:
    """The :class:`~eatool.store.projection_port.InlineProjection` of the read tables.

    One upsert per table and batch. Repeating a batch, or part of one, changes nothing: a row
    only moves forward in the log.
    """

    def __init__(self, tables: Mapping[str, ReadTable] = READ_TABLES) -> None:
        self._tables = tables
        self._upserts: dict[tuple[str, str], Any] = {}

    def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        """Fold ``events`` (in log order) into the tables of their kinds."""
        dialect = connection.dialect.name
        for aggregate_type, rows in fold_rows(events, self._tables).items():
            key = (dialect, aggregate_type)
            if key not in self._upserts:
                self._upserts[key] = _upsert(self._tables[aggregate_type], dialect)
            connection.execute(self._upserts[key], rows)


def _upsert(read: ReadTable, dialect: str) -> Any:
    """Insert or move forward; ``created_at`` stays where the batch does not tell it."""
    table = read.table
    insert = postgresql.insert if dialect == postgresql.dialect.name else sqlite.insert
    statement = insert(table)
    new = statement.excluded
    changed: dict[str, Any] = {
        column.name: new[column.name] for column in table.columns if not column.primary_key
    }
    changed["created_at"] = func.coalesce(new.created_at, table.c.created_at)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_=changed,
        where=new.position > table.c.position,
    )
