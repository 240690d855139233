"""Compare two tables of one shape: chunks of keys by checksum, then rows, then fields."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, Table, Tuple, select, tuple_

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
        right = connection.execute(_behind(rebuilt, after).limit(CHUNK)).all()
        last = _key(right[-1]) if len(right) == CHUNK else None
        # Behind the last key of the shadow, whatever there is should not be there.
        rows = _behind(live, after)
        left = connection.execute(rows if last is None else rows.where(_up_to(live, last))).all()
        counts.chunks += 1
        counts.rows += len(right)
        if _checksum(left) != _checksum(right):
            counts.differing_chunks += 1
            yield from _drill(left, right)
        if last is None:
            return
        after = last


def _behind(table: Table, after: Key | None) -> Select[Any]:
    query = select(table).order_by(table.c.namespace, table.c.id)
    return query if after is None else query.where(_key_of(table) > tuple_(*after))


def _up_to(table: Table, last: Key) -> ColumnElement[bool]:
    return _key_of(table) <= tuple_(*last)


def _key_of(table: Table) -> Tuple:
    """The key as an expression."""
    return tuple_(table.c.namespace, table.c.id)


def _checksum(rows: Sequence[Row[Any]]) -> tuple[int, int]:
    return len(rows), reduce(xor, map(fingerprint, rows), 0)


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
