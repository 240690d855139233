"""Compare two tables of one shape: chunks of keys by checksum, then rows, then fields."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Any, Final

import orjson
from sqlalchemy import (
    Connection,
    Row,
    Select,
    Table,
    Text,
    cast,
    func,
    literal_column,
    select,
    tuple_,
    type_coerce,
)
from sqlalchemy.types import NULLTYPE

#: Keys in a chunk.
CHUNK: Final = 1_000

#: Namespace and name of an entity.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One column, as it is and as the log says it should be."""

    column: str
    live: Any
    rebuilt: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One key. ``fields`` is empty when a whole row is missing, or should not be there.

    ``seen`` is the fingerprint of the live row, ``None`` for no row.
    """

    key: Key
    what: str
    fields: tuple[FieldDifference, ...]
    seen: int | None


@dataclass(slots=True)
class Counts:
    """What a comparison went over."""

    rows: int = 0
    chunks: int = 0
    differing_chunks: int = 0


def fingerprint(row: Row[Any]) -> int:
    """64 bits over all columns, the key included; the same for equal values."""
    encoded = orjson.dumps(tuple(row), option=orjson.OPT_SORT_KEYS, default=_plain)
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "big")


def differences(
    connection: Connection, live: Table, rebuilt: Table, counts: Counts
) -> Iterator[Difference]:
    """Differing keys in order of keys, while ``counts`` are kept."""
    after: Key | None = None
    while True:
        last = _boundary(connection, rebuilt, after)
        should = _checksum(connection, _chunk(rebuilt, after, last))
        counts.chunks += 1
        counts.rows += should[0]
        if _checksum(connection, _chunk(live, after, last)) != should:
            counts.differing_chunks += 1
            left, right = (
                connection.execute(_chunk(table, after, last)).all() for table in (live, rebuilt)
            )
            yield from _drill(left, right)
        if last is None:
            return
        after = last


def _boundary(connection: Connection, rebuilt: Table, after: Key | None) -> Key | None:
    """Last key of the chunk, by the shadow; ``None`` for the last one, which has no end.

    Behind the last key of the shadow there should be nothing at all.
    """
    keys = _chunk(rebuilt, after, None).with_only_columns(rebuilt.c.namespace, rebuilt.c.id)
    row = connection.execute(keys.offset(CHUNK - 1).limit(1)).one_or_none()
    return None if row is None else (row.namespace, row.id)


def _chunk(table: Table, after: Key | None, last: Key | None) -> Select[Any]:
    key = tuple_(table.c.namespace, table.c.id)
    query = select(table).order_by(table.c.namespace, table.c.id)
    if after is not None:
        query = query.where(key > tuple_(*after))
    return query if last is None else query.where(key <= tuple_(*last))


def _checksum(connection: Connection, chunk: Select[Any]) -> tuple[int, int]:
    """Rows, and the XOR of their 64-bit hashes: equal for equal rows, whatever their order.

    PostgreSQL hashes where the rows are. What it takes for a difference (1.50 and 1.5) and is
    none, the rows themselves tell.
    """
    if connection.dialect.name != "postgresql":
        # As they are stored: to make Python values of them costs more than to compare them.
        stored: list[Any] = [type_coerce(each, NULLTYPE) for each in chunk.selected_columns]
        raw: Select[Any] = chunk.with_only_columns(*stored, maintain_column_froms=True)
        rows = connection.execute(raw).all()
        return len(rows), reduce(xor, map(fingerprint, rows), 0)
    row = cast(literal_column("chunk"), Text)
    hashes = select(
        func.count(), func.coalesce(func.bit_xor(func.hashtextextended(row, 0)), 0)
    ).select_from(chunk.order_by(None).subquery("chunk"))
    count, checksum = connection.execute(hashes).one()
    return count, checksum


def _drill(left: Sequence[Row[Any]], right: Sequence[Row[Any]]) -> Iterator[Difference]:
    live, rebuilt = ({_key(row): row for row in rows} for rows in (left, right))
    for key in sorted(live.keys() | rebuilt.keys()):
        has, should = live.get(key), rebuilt.get(key)
        seen = None if has is None else fingerprint(has)
        if has is None:
            yield Difference(key, "missing", (), seen)
        elif should is None:
            yield Difference(key, "surplus", (), seen)
        elif seen != fingerprint(should):
            fields = tuple(
                FieldDifference(str(name), has._mapping[name], should._mapping[name])
                for name in has._fields
                if has._mapping[name] != should._mapping[name]
            )
            yield Difference(key, "differs", fields, seen)


def _key(row: Row[Any]) -> Key:
    return row._mapping["namespace"], row._mapping["id"]


def _plain(value: Any) -> str:
    """Decimals: 1.50 and 1.5 are one number."""
    return str(value.normalize())
