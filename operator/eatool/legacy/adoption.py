"""Adopt the tables of an existing registry: two columns and the triggers that tell of writes.

No value of the registry is touched. Each table is adopted in a transaction of its own, and
adopting it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.schema import CreateColumn

from eatool.domain.kind import EntityKind
from eatool.legacy import triggers
from eatool.legacy.tables import DELETED_AT, LEGACY_TABLES, STAMPS, LegacyTable
from eatool.store.sql.engine import reading


class NotAdoptable(Exception):
    """The table is not there, or is not one of the registry; the text says what is missing."""


def adopt(engine: Engine, kinds: Iterable[EntityKind]) -> list[EntityKind]:
    """Adopt the tables of ``kinds``; those that were not adopted before.

    Needs the migrated schema of the event store beside them and the right to alter them. Raises
    :class:`NotAdoptable`, before that table is touched.
    """
    new: list[EntityKind] = []
    for kind in kinds:
        legacy = LEGACY_TABLES[kind.aggregate_type]
        with engine.begin() as connection:
            was = is_adopted(connection, kind)
            present = _columns(connection, legacy)
            _check(legacy, present)
            for name in (DELETED_AT, legacy.version):
                if name not in present:
                    column = CreateColumn(legacy.table.c[name]).compile(dialect=connection.dialect)
                    connection.exec_driver_sql(f"ALTER TABLE {legacy.name} ADD COLUMN {column}")
            triggers.create(connection, legacy)
        if not was:
            new.append(kind)
    return new


def release(engine: Engine, kinds: Iterable[EntityKind]) -> list[EntityKind]:
    """Take the triggers away again; those kinds that had any.

    The columns stay: they say which rows are deleted. From here on writes pass unseen.
    """
    released: list[EntityKind] = []
    for kind in kinds:
        legacy = LEGACY_TABLES[kind.aggregate_type]
        with engine.begin() as connection:
            if exists(connection, kind) and triggers.existing(connection, legacy):
                triggers.drop(connection, legacy)
                released.append(kind)
    return released


def exists(connection: Connection, kind: EntityKind) -> bool:
    """Whether the registry has a table for ``kind``."""
    return inspect(connection).has_table(kind.table)


def is_adopted(connection: Connection, kind: EntityKind) -> bool:
    """Whether the table is there with our columns and all of its triggers."""
    legacy = LEGACY_TABLES[kind.aggregate_type]
    return (
        exists(connection, kind)
        and {DELETED_AT, legacy.version} <= _columns(connection, legacy)
        and triggers.existing(connection, legacy) == triggers.names(legacy, connection.dialect.name)
    )


def adopted_kinds(engine: Engine, kinds: Iterable[EntityKind]) -> list[EntityKind]:
    """Those of ``kinds`` whose tables are adopted, in order."""
    with reading(engine).connect() as connection:
        return [kind for kind in kinds if is_adopted(connection, kind)]


def complaint(connection: Connection, kind: EntityKind) -> str | None:
    """Why the table cannot be adopted; ``None`` when it can."""
    legacy = LEGACY_TABLES[kind.aggregate_type]
    try:
        _check(legacy, _columns(connection, legacy))
    except NotAdoptable as why:
        return str(why)
    return None


def _columns(connection: Connection, legacy: LegacyTable) -> set[str]:
    inspector = inspect(connection)
    if not inspector.has_table(legacy.name):
        return set()
    return {str(column["name"]) for column in inspector.get_columns(legacy.name)}


def _check(legacy: LegacyTable, present: set[str]) -> None:
    if not present:
        raise NotAdoptable(f"there is no table {legacy.name}")
    missing = [name for name in ("id", *legacy.fields, *STAMPS) if name not in present]
    if missing:
        raise NotAdoptable(f"table {legacy.name} has no column {', '.join(missing)}")
