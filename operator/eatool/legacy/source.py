"""The registry's rows as an import reads them: adopted or not, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, bindparam, func, select

from eatool.domain.kind import EntityKind
from eatool.legacy.adoption import complaint, exists, is_adopted
from eatool.legacy.tables import DELETED_AT, LEGACY_TABLES, LegacyTable
from eatool.store.sql.engine import reading

_ADD_COLUMNS: Final = (
    "every field of a kind needs its column, empty where nothing is known: docs/legacy.md, "
    "What is expected"
)
_ADOPT: Final = "run `eatool legacy adopt` first, so that no write is missed"


class RowSource:
    """Rows of the registry at ``engine`` that are not soft-deleted. Methods block; thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = reading(engine)

    def present(self, kinds: Iterable[EntityKind]) -> list[EntityKind]:
        """Those of ``kinds`` that have a table."""
        with self._engine.connect() as connection:
            return [kind for kind in kinds if exists(connection, kind)]

    def problems(self, kinds: Iterable[EntityKind], *, adopted: bool) -> list[str]:
        """Why the tables cannot be imported from, and what to do; empty when they can.

        ``adopted``: they have to be adopted, too.
        """
        found: list[str] = []
        advice: set[str] = set()
        with self._engine.connect() as connection:
            for kind in kinds:
                why = complaint(connection, kind)
                if why is not None:
                    found.append(why)
                    if "column" in why:
                        advice.add(_ADD_COLUMNS)
                elif adopted and not is_adopted(connection, kind):
                    found.append(f"table {kind.table} is not adopted")
                    advice.add(_ADOPT)
        return [*found, *sorted(advice)]

    def count(self, kind: EntityKind) -> int:
        """How many rows."""
        legacy = LEGACY_TABLES[kind.aggregate_type]
        with self._engine.connect() as connection:
            query = select(func.count()).select_from(legacy.table)
            if self._adopted(connection, legacy):
                query = query.where(legacy.table.c[DELETED_AT].is_(None))
            return connection.scalars(query).one()

    def parents(self, kind: EntityKind) -> dict[str | None, str | None]:
        """Every id with the id of its parent; ``None`` for roots, and for kinds without parents.

        SQLite lets a key be ``NULL``; all such rows are one entry.
        """
        legacy = LEGACY_TABLES[kind.aggregate_type]
        columns = [legacy.table.c.id]
        if kind.parent_field is not None:
            columns.append(legacy.table.c[kind.parent_field])
        with self._engine.connect() as connection:
            query = select(*columns)
            if self._adopted(connection, legacy):
                query = query.where(legacy.table.c[DELETED_AT].is_(None))
            return {row[0]: row[1] if len(row) > 1 else None for row in connection.execute(query)}

    def rows(self, kind: EntityKind, ids: Sequence[str]) -> list[Mapping[str, Any]]:
        """Those of ``ids`` that are still there, in the order of ``ids``."""
        legacy = LEGACY_TABLES[kind.aggregate_type]
        with self._engine.connect() as connection:
            adopted = self._adopted(connection, legacy)
            query = legacy.select(adopted=adopted)
            query = query.where(legacy.table.c.id.in_(bindparam("ids", expanding=True)))
            found = {
                row["id"]: row for row in connection.execute(query, {"ids": list(ids)}).mappings()
            }
        there = (found[row_id] for row_id in ids if row_id in found)
        return [
            {name: row[name] for name in row}
            for row in there
            if not adopted or row[DELETED_AT] is None
        ]

    @staticmethod
    def _adopted(connection: Connection, legacy: LegacyTable) -> bool:
        return is_adopted(connection, legacy.kind)
