"""What decisions may know about the registry, read from the tables an append keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Connection, Engine, Select, func, select

from eatool.domain.identity import EntityRef
from eatool.domain.landscape import Referrer, Sharer
from eatool.projections.tables import READ_TABLES, ReadTable
from eatool.store.sql.database import Database
from eatool.store.sql.tables import reference, stream, unique_key

#: Names per ``IN`` list; a spec has at most 200 references in a list.
_CHUNK = 500


class SqlLandscape:
    """The :class:`~eatool.domain.landscape.Landscape` of a SQL event log.

    Each method is one indexed query on a connection of its own (``alive``: one per 500
    references). All of them see the newest commit.
    """

    def __init__(self, engine: Engine, tables: Mapping[str, ReadTable] = READ_TABLES) -> None:
        self._read = Database(engine).query
        self._tables = tables

    def alive(self, refs: Sequence[EntityRef]) -> set[EntityRef]:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        found: set[EntityRef] = set()
        for start in range(0, len(refs), _CHUNK):
            names = [ref.stream_id for ref in refs[start : start + _CHUNK]]
            query = select(stream.c.stream_id).where(stream.c.stream_id.in_(names), stream.c.alive)
            rows = self._read(partial(_scalars, query))
            found.update(map(EntityRef.parse, rows))
        return found

    def spec(self, ref: EntityRef) -> Mapping[str, object] | None:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        read = self._tables[ref.aggregate_type]
        rows = read.table
        query = select(rows).where(
            rows.c.namespace == ref.namespace,
            rows.c.id == ref.name,
            rows.c.deleted_at.is_(None),
        )
        row = self._read(lambda connection: connection.execute(query).mappings().one_or_none())
        return None if row is None else read.spec_fields(row)

    def parent(self, ref: EntityRef) -> EntityRef | None:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        field = self._tables[ref.aggregate_type].kind.parent_field
        if field is None:
            return None
        query = select(reference.c.target).where(
            reference.c.source == ref.stream_id, reference.c.field == field
        )
        target = self._read(lambda connection: connection.scalar(query))
        return None if target is None else EntityRef.parse(target)

    def referrers(self, ref: EntityRef, limit: int = 10) -> Sequence[Referrer]:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        query = (
            select(reference.c.source, reference.c.field, reference.c.hard)
            .where(reference.c.target == ref.stream_id)
            .order_by(reference.c.source, reference.c.field)
            .limit(limit)
        )
        rows = self._read(lambda connection: connection.execute(query).all())
        return [Referrer(EntityRef.parse(source), field, hard) for source, field, hard in rows]

    def holder(self, key: str) -> EntityRef | None:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        query = select(unique_key.c.holder).where(unique_key.c.key == key, unique_key.c.live)
        holder = self._read(lambda connection: connection.scalar(query))
        return None if holder is None else EntityRef.parse(holder)

    def sharers(self, key: str) -> Sequence[Sharer]:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        aggregate_type, namespace, _ = key.split("/", 2)
        read = self._tables[aggregate_type]
        rows = read.table
        # The name is cut out of the stream id, not the stream id made of the name, so that each
        # row is found by its primary key.
        name = func.substr(reference.c.source, len(f"{aggregate_type}/{namespace}/") + 1)
        query = (
            select(rows)
            .select_from(reference)
            .join(rows, rows.c.id == name)
            .where(
                reference.c.target == key,
                rows.c.namespace == namespace,
                rows.c.deleted_at.is_(None),
            )
        )
        found = self._read(lambda connection: connection.execute(query).mappings().all())
        return [
            Sharer(read.kind.ref(namespace, row["id"]), row["version"], read.spec_fields(row))
            for row in found
        ]


def _scalars(query: Select[str], connection: Connection) -> Sequence[str]:
    return connection.scalars(query).all()
