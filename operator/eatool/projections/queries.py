"""Read the current state of entities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, RowMapping, func, select, tuple_, union_all

from eatool.domain.identity import EntityRef
from eatool.projections.tables import READ_TABLES, ReadTable
from eatool.store.sql.database import Database


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a read table; ``fields`` is the spec by snake_case name, as Python values.

    ``version`` is the stream's; ``deleted_at`` is ``None`` while the entity exists.
    """

    ref: EntityRef
    uid: str
    generation: int
    version: int
    position: int
    event_id: UUID
    created_at: datetime | None
    updated_at: datetime
    deleted_at: datetime | None
    fields: Mapping[str, Any]


class Entities:
    """The read tables of one database. Methods block; thread-safe."""

    def __init__(self, engine: Engine, tables: Mapping[str, ReadTable] = READ_TABLES) -> None:
        self._read = Database(engine).query
        self._tables = tables

    def get(self, ref: EntityRef, *, include_deleted: bool = False) -> Record | None:
        """One entity, or ``None`` when it was never recorded or is deleted."""
        read = self._tables[ref.aggregate_type]
        rows = read.table
        query = select(rows).where(rows.c.namespace == ref.namespace, rows.c.id == ref.name)
        if not include_deleted:
            query = query.where(rows.c.deleted_at.is_(None))
        row = self._read(lambda connection: connection.execute(query).mappings().one_or_none())
        return None if row is None else _record(read, row)

    def list(
        self,
        aggregate_type: str,
        *,
        namespace: str | None = None,
        include_deleted: bool = False,
        after: EntityRef | None = None,
        limit: int = 200,
    ) -> Sequence[Record]:
        """At most ``limit`` entities of one kind, by namespace and name.

        Args:
            aggregate_type: the kind.
            namespace: ``None`` = all.
            include_deleted: those with ``deleted_at`` too.
            after: the last entity of the previous page.
            limit: page size.

        """
        read = self._tables[aggregate_type]
        rows = read.table
        query = select(rows).order_by(rows.c.namespace, rows.c.id).limit(limit)
        if namespace is not None:
            query = query.where(rows.c.namespace == namespace)
        if not include_deleted:
            query = query.where(rows.c.deleted_at.is_(None))
        if after is not None:
            query = query.where(
                tuple_(rows.c.namespace, rows.c.id) > tuple_(after.namespace, after.name)
            )
        found = self._read(lambda connection: connection.execute(query).mappings().all())
        return [_record(read, row) for row in found]

    def pages(self, size: int = 1000) -> Iterator[Sequence[Record]]:
        """Every row of every table, deleted entities included."""
        for aggregate_type in self._tables:
            after: EntityRef | None = None
            while page := self.list(aggregate_type, include_deleted=True, after=after, limit=size):
                yield page
                after = page[-1].ref

    def position(self) -> int:
        """Newest log position in any table, 0 when all are empty; reads every row."""
        newest = union_all(
            *(select(func.max(read.table.c.position)) for read in self._tables.values())
        )
        found = self._read(lambda connection: connection.execute(newest).scalars().all())
        return max((position for position in found if position is not None), default=0)


def _record(read: ReadTable, row: RowMapping) -> Record:
    return Record(
        read.kind.ref(row["namespace"], row["id"]),
        row["uid"],
        row["generation"],
        row["version"],
        row["position"],
        row["event_id"],
        row["created_at"],
        row["updated_at"],
        row["deleted_at"],
        read.spec_fields(row),
    )
