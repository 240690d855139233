"""One look at both sides: what the legacy table says of an entity, and what the registry says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Engine, RowMapping, func, select

from eatool.domain.errors import FieldError, SpecInvalid
from eatool.domain.kind import EntityKind, EntitySpec
from eatool.legacy.rows import canonical, fingerprint, name_complaint
from eatool.legacy.writing import LegacyRow, LegacyRows
from eatool.projections.checkpoints import positions
from eatool.projections.tables import PROJECTION, READ_TABLES
from eatool.rollout.ignoring import Ignored, accept, excuse
from eatool.store.sql.engine import reading
from eatool.store.sql.tables import event

#: The "field" that differs when one side has the entity and the other one has not.
EXISTENCE: Final = "(existence)"

#: Begins a transaction that sees one state of the database and takes no lock.
_SNAPSHOT: Final[Mapping[str, str]] = {
    "sqlite": "BEGIN DEFERRED",
    "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
}
_CHUNK: Final = 500


class Verdict(StrEnum):
    """What a comparison comes to."""

    MATCH = "match"
    #: Different, and not yet for long enough to mean anything; or one side is known to follow.
    LAG = "lag"
    #: Different, or unrecordable, in fields only for which a named rule allows it.
    IGNORED = "ignored"
    #: Different, still so in a second look at unchanged versions.
    MISMATCH = "mismatch"
    #: The row cannot be compared or recorded; the field errors say why.
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Versions:
    """What both sides were at; a second look counts only at the same ones.

    ``read`` and ``stream`` are log positions: of the event that the read row is made of, and of
    the newest one. 0 where there is no row, no stream.
    """

    legacy: int = 0
    read: int = 0
    stream: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides of one entity at one moment.

    Attributes:
        legacy: canonical spec of a living row; ``None`` for none, and with ``errors``.
        read: fields of a living row of the read table by snake_case name.
        uid, generation: the last recorded ones, if any.
        behind: the follower of the log has yet to bring the newest events to the tables.
        differing: snake_case fields, sorted; :data:`EXISTENCE` when only one side is there.
        rule: that excuses all of ``differing``, or accepts all ``errors``.

    """

    id: str
    versions: Versions
    legacy: EntitySpec | None = None
    read: Mapping[str, Any] | None = None
    uid: str | None = None
    generation: int | None = None
    behind: bool = False
    errors: tuple[FieldError, ...] = ()
    differing: tuple[str, ...] = ()
    rule: str | None = None

    @property
    def same(self) -> bool:
        """Nothing differs, and both can be read."""
        return not (self.differing or self.errors)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one state of the database, and takes no lock."""
    with reading(engine).connect() as connection:
        connection.exec_driver_sql(_SNAPSHOT[connection.dialect.name])
        try:
            yield connection
        finally:
            connection.exec_driver_sql("ROLLBACK")


def compare(
    connection: Connection,
    kind: EntityKind,
    namespace: str,
    ids: Collection[str],
    ignored: Ignored,
) -> dict[str, Comparison]:
    """Compare entities by id; ``ignored`` has the rules that excuse differences."""
    wanted = sorted(ids)
    legacy = LegacyRows(connection).many(kind.aggregate_type, wanted)
    read = _read_rows(connection, kind, namespace, wanted)
    streams = _stream_positions(connection, kind, namespace, wanted)
    followed = positions(connection, PROJECTION).get(kind.aggregate_type)
    return {
        each: _Sides(legacy.get(each), read.get(each), streams.get(each, 0), followed).compared(
            kind, each, ignored
        )
        for each in wanted
    }


def differing(
    kind: EntityKind, left: Mapping[str, Any], right: Mapping[str, Any]
) -> tuple[str, ...]:
    """Names of the fields that do not mean the same."""
    return tuple(
        sorted(
            name
            for name in kind.spec.model_fields
            if left.get(name) != right.get(name)
            and fingerprint(kind, {name: left.get(name)})
            != fingerprint(kind, {name: right.get(name)})
        )
    )


def plain(spec: EntitySpec) -> dict[str, Any]:
    """JSON values by snake_case field."""
    return spec.model_dump(mode="json", by_alias=False)


@dataclass(frozen=True, slots=True)
class _Sides:
    row: LegacyRow | None
    read: RowMapping | None
    stream: int
    followed: int | None

    def compared(self, kind: EntityKind, row_id: str, ignored: Ignored) -> Comparison:
        spec, errors = self._legacy(kind, row_id)
        fields = self._fields(kind)
        names: tuple[str, ...] = ()
        rule = accept(ignored, [str(error) for error in errors])
        if not errors:
            if (spec is None) is not (fields is None):
                names = (EXISTENCE,)
            elif spec is not None and fields is not None:
                names = differing(kind, plain(spec), fields)
                rule = excuse(ignored, names, plain(spec), fields)
        row, read = self.row, self.read
        return Comparison(
            row_id,
            Versions(row.version if row else 0, read["position"] if read else 0, self.stream),
            legacy=spec,
            read=fields,
            uid=read["uid"] if read else None,
            generation=read["generation"] if read else None,
            behind=self.followed is not None and self.followed < self.stream,
            errors=errors,
            differing=names,
            rule=rule,
        )

    def _legacy(
        self, kind: EntityKind, row_id: str
    ) -> tuple[EntitySpec | None, tuple[FieldError, ...]]:
        if self.row is None or self.row.deleted:
            return None, ()
        complaint = name_complaint(row_id)
        if complaint is not None:
            return None, (complaint,)
        try:
            return canonical(kind, self.row.values), ()
        except SpecInvalid as invalid:
            return None, invalid.errors

    def _fields(self, kind: EntityKind) -> dict[str, Any] | None:
        if self.read is None or self.read["deleted_at"] is not None:
            return None
        return READ_TABLES[kind.aggregate_type].spec_fields(self.read)


def _read_rows(
    connection: Connection, kind: EntityKind, namespace: str, ids: list[str]
) -> dict[str, RowMapping]:
    rows = READ_TABLES[kind.aggregate_type].table
    found: dict[str, RowMapping] = {}
    for start in range(0, len(ids), _CHUNK):
        query = select(rows).where(
            rows.c.namespace == namespace, rows.c.id.in_(ids[start : start + _CHUNK])
        )
        found |= {row["id"]: row for row in connection.execute(query).mappings()}
    return found


def _stream_positions(
    connection: Connection, kind: EntityKind, namespace: str, ids: list[str]
) -> dict[str, int]:
    names = {kind.ref(namespace, each).stream_id: each for each in ids}
    found: dict[str, int] = {}
    streams = list(names)
    for start in range(0, len(streams), _CHUNK):
        query = (
            select(event.c.stream_id, func.max(event.c.position))
            .where(event.c.stream_id.in_(streams[start : start + _CHUNK]))
            .group_by(event.c.stream_id)
        )
        found |= {names[stream_id]: position for stream_id, position in connection.execute(query)}
    return found
