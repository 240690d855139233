"""One read table per kind, derived from its declaration.

Fixed columns mean the same in every table; a spec field of the same name (``version`` of an
interface) is stored as ``spec_{name}``.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Union, get_args, get_origin

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    MetaData,
    Numeric,
    RowMapping,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from eatool.domain.events import Created, Deleted
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.store.sql.schema import UtcDateTime, metadata

#: Lists, maps and nested models; queryable with the database's JSON operators.
_JSON = JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), postgresql.dialect.name
)

#: SQL type of each scalar of a spec model, and how its JSON form becomes the Python value.
_SCALARS: Sequence[tuple[type, TypeEngine[Any], Callable[[Any], Any] | None]] = (
    (bool, Boolean(), None),
    (int, BigInteger(), None),
    (float, Double(), None),
    (Decimal, Numeric(), Decimal),
    (datetime, UtcDateTime(), datetime.fromisoformat),
    (date, Date(), date.fromisoformat),
    (str, Text(), None),
)


#: The plain names belong to the tables of the registry that is migrated away from, which may lie
#: in the same database.
PREFIX = "read_"


@dataclass(frozen=True, slots=True)
class SpecColumn:
    """Where one spec field lives.

    ``read`` makes the column value of the field's JSON form; ``None`` takes it as it is.
    """

    field: str
    name: str
    read: Callable[[Any], Any] | None
    default: Any


@dataclass(frozen=True, slots=True, eq=False)
class ReadTable:
    """The current state of every entity of one kind, deleted ones included."""

    kind: EntityKind
    table: Table
    columns: tuple[SpecColumn, ...]
    #: Versioned types of the kind's Created and Deleted events.
    created_type: str
    deleted_type: str

    def spec_values(self, entity: Mapping[str, Any]) -> dict[str, Any]:
        """Column values of an event's ``entity``; a field it does not know gets its default."""
        values: dict[str, Any] = {}
        for column in self.columns:
            value = entity.get(column.field, column.default)
            values[column.name] = (
                value if value is None or column.read is None else column.read(value)
            )
        return values

    def spec_fields(self, row: RowMapping) -> dict[str, Any]:
        """The way back: spec fields by snake_case name, as Python values."""
        return {column.field: row[column.name] for column in self.columns}


def read_table(kind: EntityKind, into: MetaData) -> ReadTable:
    """Derive the table of ``kind``; ``TypeError`` for a field type that has no column type."""
    fixed = _fixed_columns()
    taken = {column.name for column in fixed}
    columns, spec_columns = list(fixed), []
    for field, info in kind.spec.model_fields.items():
        sql_type, read = _column_type(info.annotation)
        name = f"spec_{field}" if field in taken else field
        default = info.get_default(call_default_factory=True) if not info.is_required() else None
        spec_columns.append(SpecColumn(field, name, read, _plain(default)))
        columns.append(Column(name, sql_type))
    return ReadTable(
        kind,
        Table(PREFIX + kind.table, into, *columns),
        tuple(spec_columns),
        kind.event_class(Created).versioned_type(),
        kind.event_class(Deleted).versioned_type(),
    )


def read_tables(kinds: Iterable[EntityKind], into: MetaData) -> dict[str, ReadTable]:
    """Tables of several kinds by aggregate type."""
    return {kind.aggregate_type: read_table(kind, into) for kind in kinds}


def _fixed_columns() -> list[Column[Any]]:
    return [
        Column("namespace", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("uid", Text, nullable=False),
        Column("version", BigInteger, nullable=False),
        #: Null only while the row waits for its Created event: a gap that parity checks report.
        Column("created_at", UtcDateTime),
        Column("updated_at", UtcDateTime, nullable=False),
        Column("deleted_at", UtcDateTime),
        Column("position", BigInteger, nullable=False),
        Column("event_id", Uuid, nullable=False),
        Column("generation", BigInteger, nullable=False),
    ]


def _column_type(annotation: Any) -> tuple[TypeEngine[Any], Callable[[Any], Any] | None]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _column_type(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        options = [each for each in get_args(annotation) if each is not types.NoneType]
        if len(options) == 1:
            return _column_type(options[0])
    if isinstance(annotation, type):
        for scalar, sql_type, read in _SCALARS:
            if issubclass(annotation, scalar):
                return sql_type, read
    if (
        origin is not None
        and get_args(annotation)
        and all(isinstance(value, str) for value in get_args(annotation))
    ):
        return Text(), None
    if origin in (list, tuple, dict, frozenset, set) or hasattr(annotation, "model_fields"):
        return _JSON, None
    if isinstance(origin, type) and issubclass(origin, Mapping | Sequence):
        return _JSON, None
    raise TypeError(f"no column type for {annotation!r}")


def _plain(default: Any) -> Any:
    """A model default in the form it has in an event."""
    if isinstance(default, tuple | frozenset | set):
        return sorted(default)
    return default


#: What the read tables are called together, as one projection of the log.
PROJECTION = "read_tables"

#: The nine read tables, by aggregate type.
READ_TABLES: Mapping[str, ReadTable] = read_tables(KINDS.values(), metadata)
