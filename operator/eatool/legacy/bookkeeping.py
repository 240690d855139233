"""What earlier imports made of which rows, so that a later one knows what is new."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, case, delete, func, inspect, select

from eatool.domain.kind import EntityKind
from eatool.legacy.tables import legacy_change, legacy_import
from eatool.store.clock import Clock, utc_now
from eatool.store.sql.database import inserting
from eatool.store.sql.engine import reading

_KEY = list(legacy_import.primary_key.columns)


@dataclass(frozen=True, slots=True)
class Imported:
    """One row: its fingerprint when it was last recorded, and whether it was refused since."""

    fingerprint: int | None
    refused: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """Numbers of one kind: rows recorded and rows refused by imports, dirty keys."""

    imported: int = 0
    refused: int = 0
    pending: int = 0


class Bookkeeping:
    """Rows imported into one namespace. Methods block; a database without our schema is empty."""

    def __init__(self, engine: Engine, namespace: str, *, clock: Clock = utc_now) -> None:
        self._engine = engine
        self._reader = reading(engine)
        self._namespace = namespace
        self._clock = clock

    def of(self, kind: EntityKind) -> dict[str, Imported]:
        """Every row an import looked at, by id."""
        with self._reader.connect() as connection:
            if not inspect(connection).has_table(legacy_import.name):
                return {}
            query = select(
                legacy_import.c.id, legacy_import.c.fingerprint, legacy_import.c.refused
            ).where(
                legacy_import.c.namespace == self._namespace,
                legacy_import.c.aggregate_type == kind.aggregate_type,
            )
            return {
                row.id: Imported(row.fingerprint, row.refused) for row in connection.execute(query)
            }

    def note(self, kind: EntityKind, rows: Mapping[str, int | None]) -> None:
        """These were recorded with a fingerprint, or refused (``None``)."""
        if not rows:
            return
        insert = inserting(self._engine.dialect.name, legacy_import)
        new = insert.excluded
        statement = insert.on_conflict_do_update(
            index_elements=_KEY,
            set_={
                # A refused row leaves what was recorded of it before.
                "fingerprint": func.coalesce(new.fingerprint, legacy_import.c.fingerprint),
                "refused": new.refused,
                "imported_at": new.imported_at,
            },
        )
        now = self._clock()
        with self._engine.begin() as connection:
            connection.execute(
                statement,
                [
                    {
                        "namespace": self._namespace,
                        "aggregate_type": kind.aggregate_type,
                        "id": row_id,
                        "fingerprint": fingerprint,
                        "refused": fingerprint is None,
                        "imported_at": now,
                    }
                    for row_id, fingerprint in rows.items()
                ],
            )

    def forget(self, kind: EntityKind, ids: Collection[str]) -> None:
        """These rows are gone, and so are their entities."""
        if not ids:
            return
        with self._engine.begin() as connection:
            connection.execute(
                delete(legacy_import).where(
                    legacy_import.c.namespace == self._namespace,
                    legacy_import.c.aggregate_type == kind.aggregate_type,
                    legacy_import.c.id.in_(ids),
                )
            )

    def standings(self, kinds: Iterable[EntityKind]) -> dict[str, Standing]:
        """Numbers by aggregate type."""
        with self._reader.connect() as connection:
            if not inspect(connection).has_table(legacy_import.name):
                return {kind.aggregate_type: Standing() for kind in kinds}
            rows = connection.execute(
                select(
                    legacy_import.c.aggregate_type,
                    func.count(legacy_import.c.fingerprint),
                    func.sum(case((legacy_import.c.refused, 1), else_=0)),
                )
                .where(legacy_import.c.namespace == self._namespace)
                .group_by(legacy_import.c.aggregate_type)
            )
            imported = {name: (recorded, refused) for name, recorded, refused in rows}
            keys = func.count(legacy_change.c.id.distinct())
            pending = {
                row[0]: row[1]
                for row in connection.execute(
                    select(legacy_change.c.aggregate_type, keys).group_by(
                        legacy_change.c.aggregate_type
                    )
                )
            }
        return {
            name: Standing(*imported.get(name, (0, 0)), pending.get(name, 0))
            for name in (kind.aggregate_type for kind in kinds)
        }


class Rehearsed:
    """The notes of earlier imports; takes none of a dry run."""

    def __init__(self, notes: Bookkeeping) -> None:
        self.of = notes.of

    def note(self, kind: EntityKind, rows: Mapping[str, int | None]) -> None:
        """Keep nothing."""

    def forget(self, kind: EntityKind, ids: Collection[str]) -> None:
        """Forget nothing."""
