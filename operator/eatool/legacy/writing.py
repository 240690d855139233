"""Rows of adopted tables, read and written inside somebody's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, select, update

from eatool.domain.errors import SpecInvalid
from eatool.domain.kind import EntitySpec
from eatool.legacy.rows import canonical, instant
from eatool.legacy.tables import DELETED_AT, LEGACY_TABLES, LegacyTable
from eatool.store.clock import Clock, utc_now
from eatool.store.sql.database import inserting

#: Ids per statement; SQLite takes some 32,000 parameters.
_CHUNK = 1_000


class RowChanged(Exception):
    """The row is not at the version that the write was based on; nothing was written.

    ``expected`` and ``actual`` count as :class:`LegacyRow` does; 0 means there is no row.
    """

    def __init__(self, aggregate_type: str, row_id: str, expected: int, actual: int) -> None:
        super().__init__(f"{aggregate_type} {row_id} is at version {actual}, not {expected}")
        self.expected, self.actual = expected, actual


@dataclass(frozen=True, slots=True)
class LegacyRow:
    """One row as it is.

    ``values`` are the driver's, by column (:func:`~eatool.legacy.rows.canonical` reads them);
    ``version`` grows with every write, whoever writes.
    """

    id: str
    values: Mapping[str, Any]
    version: int
    deleted: bool
    updated_at: datetime | None


class LegacyRows:
    """The adopted tables as one connection sees them; the caller commits.

    Every write takes the locks it needs for the rest of the transaction. It writes nothing where
    the row already means the same, however it is spelled: no new version, no dirty key.
    """

    def __init__(self, connection: Connection, *, clock: Clock = utc_now) -> None:
        self._connection = connection
        self._clock = clock

    @contextmanager
    def tentative(self) -> Iterator[None]:
        """Undo at the end of the block what was written in it, refused statements included."""
        savepoint = self._connection.begin_nested()
        try:
            yield
        finally:
            savepoint.rollback()

    def get(self, aggregate_type: str, row_id: str) -> LegacyRow | None:
        """One row, a soft-deleted one included."""
        return self.many(aggregate_type, [row_id]).get(row_id)

    def many(
        self, aggregate_type: str, ids: Collection[str], *, lock: bool = False
    ) -> dict[str, LegacyRow]:
        """Those of ``ids`` that have a row, by id; ``lock`` keeps other writers of them out."""
        legacy = LEGACY_TABLES[aggregate_type]
        query = legacy.select().where(legacy.table.c.id.in_(bindparam("ids", expanding=True)))
        if lock:
            # Two writers lock in one order.
            query = query.order_by(legacy.table.c.id).with_for_update()
        found: dict[str, LegacyRow] = {}
        for chunk in _chunks(sorted(ids)):
            for row in self._connection.execute(query, {"ids": chunk}).mappings():
                found[row["id"]] = _row(legacy, row)
        return found

    def page(
        self, aggregate_type: str, *, after: str | None = None, limit: int = _CHUNK
    ) -> list[LegacyRow]:
        """The next rows in the database's order of ids, soft-deleted ones included."""
        legacy = LEGACY_TABLES[aggregate_type]
        query = legacy.select().order_by(legacy.table.c.id).limit(limit)
        query = query.where(
            legacy.table.c.id.is_not(None) if after is None else legacy.table.c.id > after
        )
        return [_row(legacy, row) for row in self._connection.execute(query).mappings()]

    def count(self, aggregate_type: str) -> int:
        """Rows that are not soft-deleted."""
        table = LEGACY_TABLES[aggregate_type].table
        query = select(func.count()).select_from(table).where(table.c[DELETED_AT].is_(None))
        return self._connection.scalars(query).one()

    def upsert(
        self,
        aggregate_type: str,
        row_id: str,
        spec: EntitySpec,
        *,
        expected_version: int | None = None,
    ) -> int:
        """Make the row say ``spec``, a soft-deleted or missing one included; its version then.

        Raises :class:`RowChanged` unless the row is at ``expected_version`` (0: there is none;
        ``None``: whatever is there).
        """
        expected = {} if expected_version is None else {row_id: expected_version}
        return self.write(aggregate_type, {row_id: spec}, expected)[row_id]

    def soft_delete(
        self, aggregate_type: str, row_id: str, *, expected_version: int | None = None
    ) -> int:
        """Mark the row as deleted; its version then, 0 when there is no row.

        Raises :class:`RowChanged` as :meth:`upsert` does.
        """
        expected = {} if expected_version is None else {row_id: expected_version}
        return self.write(aggregate_type, {row_id: None}, expected).get(row_id, 0)

    def write(
        self,
        aggregate_type: str,
        wanted: Mapping[str, EntitySpec | None],
        expected: Mapping[str, int] | None = None,
    ) -> dict[str, int]:
        """Many rows of one kind at once: canonical specs by id, ``None`` for a deletion.

        Returns:
            versions after it, by id; a row that is not there and not wanted has none.

        """
        legacy = LEGACY_TABLES[aggregate_type]
        held = self.many(aggregate_type, wanted, lock=True)
        for row_id, version in (expected or {}).items():
            actual = held[row_id].version if row_id in held else 0
            if actual != version:
                raise RowChanged(aggregate_type, row_id, version, actual)
        new = {id_: spec for id_, spec in wanted.items() if spec is not None and id_ not in held}
        if new:
            self._insert(legacy, new)
            # Their versions; and somebody may have been faster, whose rows are updated then.
            held |= self.many(aggregate_type, new, lock=True)
        changed = [row for id_, row in held.items() if not _says(legacy, row, wanted[id_])]
        self._update(legacy, {row.id: wanted[row.id] for row in changed})
        after = {row_id: row.version for row_id, row in held.items()}
        return after | {row.id: row.version + 1 for row in changed}

    def _insert(self, legacy: LegacyTable, specs: Mapping[str, EntitySpec]) -> None:
        now = self._clock()
        self._connection.execute(
            inserting(self._connection.dialect.name, legacy.table).on_conflict_do_nothing(),
            [
                {"id": row_id, **legacy.values(spec), "created_at": now, "updated_at": now}
                for row_id, spec in specs.items()
            ],
        )

    def _update(self, legacy: LegacyTable, wanted: Mapping[str, EntitySpec | None]) -> None:
        table, now = legacy.table, self._clock()
        version = {legacy.version: table.c[legacy.version] + 1}
        statement = update(table).where(table.c.id == bindparam("of_id"))
        gone = [row_id for row_id, spec in wanted.items() if spec is None]
        if gone:
            self._connection.execute(
                statement.values({**version, DELETED_AT: now, "updated_at": now}),
                [{"of_id": row_id} for row_id in gone],
            )
        specs = {row_id: spec for row_id, spec in wanted.items() if spec is not None}
        if specs:
            values = {
                name: bindparam(f"to_{name}", type_=table.c[name].type) for name in legacy.fields
            }
            self._connection.execute(
                statement.values({**version, **values, DELETED_AT: None, "updated_at": now}),
                [
                    {
                        "of_id": row_id,
                        **{f"to_{name}": each for name, each in legacy.values(spec).items()},
                    }
                    for row_id, spec in specs.items()
                ],
            )


def _row(legacy: LegacyTable, row: RowMapping) -> LegacyRow:
    return LegacyRow(
        row["id"],
        {name: row[name] for name in legacy.fields},
        row[legacy.version],
        row[DELETED_AT] is not None,
        instant(row["updated_at"]),
    )


def _says(legacy: LegacyTable, row: LegacyRow, wanted: EntitySpec | None) -> bool:
    if wanted is None or row.deleted:
        return wanted is None and row.deleted
    try:
        return canonical(legacy.kind, row.values) == wanted
    except SpecInvalid:
        return False


def _chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    left = iter(ids)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk
