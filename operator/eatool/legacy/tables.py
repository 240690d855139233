"""The tables of the registry that is migrated away from, and what we note beside them.

They belong to an application that knows nothing of us: one table per kind, called as
``EntityKind.table``, with ``id`` (text), the spec fields in snake_case, lists and nested objects as
JSON, ``created_at`` and ``updated_at``. Adoption adds a soft-delete and an optimistic-lock column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    select,
    type_coerce,
)
from sqlalchemy.types import NullType, TypeEngine, UserDefinedType

from eatool.domain.kind import EntityKind, EntitySpec
from eatool.domain.kinds import KINDS
from eatool.projections.tables import READ_TABLES, SpecColumn
from eatool.store.sql.schema import UtcDateTime, metadata

#: The column that adoption adds for soft deletion.
DELETED_AT = "deleted_at"
#: Columns every table of the registry has besides its fields.
STAMPS = ("created_at", "updated_at")


class JsonText(UserDefinedType[Any]):
    """JSON into a column of type ``text``, ``json`` or ``jsonb``, whichever the registry chose.

    Not one of SQLAlchemy's own types: those tell PostgreSQL what they bind, and text that was
    declared as such does not go into ``jsonb``.
    """

    cache_ok = True

    def get_col_spec(self, **_keywords: Any) -> str:
        """How a registry of its own would declare it."""
        return "TEXT"

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str | None]:
        """Write compact JSON."""
        return lambda value: None if value is None else orjson.dumps(value).decode()


@dataclass(frozen=True, slots=True, eq=False)
class LegacyTable:
    """One table of the registry as it is after adoption.

    Attributes:
        kind: whose entities are its rows.
        table: all columns we read or write; the real one may have more.
        columns: the spec fields; each is the column of the same name.
        version: name of the optimistic-lock column, ``version`` unless a field is called so.

    """

    kind: EntityKind
    table: Table
    columns: tuple[SpecColumn, ...]
    version: str

    @property
    def name(self) -> str:
        """What the registry calls the table."""
        return self.kind.table

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the spec fields, in the order of the declaration."""
        return tuple(column.field for column in self.columns)

    def shape(self, field: str) -> TypeEngine[Any]:
        """The column type that a spec field calls for."""
        return self.table.c[field].type

    def values(self, spec: EntitySpec) -> dict[str, Any]:
        """Column values of a canonical spec."""
        entity = spec.model_dump(mode="json", by_alias=False)
        return {
            column.field: value
            if (value := entity[column.field]) is None or column.read is None
            else column.read(value)
            for column in self.columns
        }

    def select(self, *, adopted: bool = True) -> Select[*tuple[Any, ...]]:
        """All rows as the driver gives them: what is in them may be of no declared type."""
        names = ["id", *self.fields, *STAMPS]
        if adopted:
            names += [DELETED_AT, self.version]
        columns = [type_coerce(self.table.c[name], NullType()).label(name) for name in names]
        return select(*columns)


def _legacy_table(kind: EntityKind, into: MetaData) -> LegacyTable:
    read = READ_TABLES[kind.aggregate_type]
    columns = tuple(
        SpecColumn(column.field, column.field, column.read, column.default)
        for column in read.columns
    )
    version = "row_version" if "version" in kind.spec.model_fields else "version"
    table = Table(
        kind.table,
        into,
        Column("id", Text, primary_key=True),
        *(Column(each.field, _stored(read.table.c[each.name].type)) for each in read.columns),
        *(Column(name, UtcDateTime) for name in STAMPS),
        Column(DELETED_AT, UtcDateTime),
        Column(version, BigInteger, nullable=False, server_default="1"),
    )
    return LegacyTable(kind, table, columns, version)


def _stored(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    return JsonText() if isinstance(type_, JSON) else type_


#: By aggregate type. Their ``MetaData`` is their own: our migrations never touch them.
LEGACY_TABLES: Mapping[str, LegacyTable] = {
    kind.aggregate_type: _legacy_table(kind, into)
    for into in (MetaData(),)
    for kind in KINDS.values()
}

#: Dirty keys: one row per write to an adopted table, whoever wrote, committed with the write.
#: ``seq`` is drawn before that commit, so a smaller one may appear later: clear the numbers that
#: were read, never all below one of them.
legacy_change = Table(
    "legacy_change",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("aggregate_type", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

#: Rows that an import looked at. ``fingerprint`` is that of the row as it was last recorded,
#: ``NULL`` if it never was; ``refused`` is what became of it the last time.
legacy_import = Table(
    "legacy_import",
    metadata,
    Column("namespace", Text, primary_key=True),
    Column("aggregate_type", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("fingerprint", BigInteger),
    Column("refused", Boolean, nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
)
