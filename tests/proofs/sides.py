"""Legacy table, read table and folded log, each read for itself, to be compared field by field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, MetaData, select

from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntityKind
from eatool.legacy.rows import canonical
from eatool.legacy.tables import DELETED_AT, LEGACY_TABLES
from eatool.projections.tables import READ_TABLES
from eatool.registry.folding import fold_events
from eatool.rollout.comparison import plain
from eatool.store.port import RecordedEvent
from eatool.store.sql.engine import reading
from eatool.store.sql.log import SqlEventStore

#: Fields by entity.
Side = Mapping[str, Mapping[str, Any]]


def legacy_side(
    engine: Engine, kind: EntityKind, *, table: str | None = None, but: Collection[str] = ()
) -> Side:
    """Living rows without those of ``but``; ``table``: the name it has by now."""
    legacy = LEGACY_TABLES[kind.aggregate_type]
    if table is not None:
        legacy = replace(legacy, table=legacy.table.to_metadata(MetaData(), name=table))
    query = legacy.select().where(legacy.table.c[DELETED_AT].is_(None))
    with reading(engine).connect() as connection:
        rows = [{**row} for row in connection.execute(query).mappings()]
    return {row["id"]: plain(canonical(kind, row)) for row in rows if row["id"] not in but}


def read_side(engine: Engine, kind: EntityKind, namespace: str) -> Side:
    """Living rows of the read table."""
    read = READ_TABLES[kind.aggregate_type]
    query = select(read.table).where(
        read.table.c.deleted_at.is_(None), read.table.c.namespace == namespace
    )
    with reading(engine).connect() as connection:
        rows = connection.execute(query).mappings().all()
    return {
        row["id"]: plain(kind.spec.model_validate(read.spec_fields(row), by_name=True))
        for row in rows
    }


def log_sides(
    store: SqlEventStore,
    namespace: str,
    kinds: Iterable[EntityKind],
    *,
    until: int | None = None,
) -> Mapping[str, Side]:
    """What the log says there is, by aggregate type; ``until``: as of that position."""
    wanted = tuple(f"{kind.aggregate_type}/{namespace}/" for kind in kinds)
    streams: defaultdict[str, list[RecordedEvent]] = defaultdict(list)
    after = 0
    while events := store.read_all(after=after, limit=5_000):
        after = events[-1].position
        for event in events:
            if event.stream_id.startswith(wanted) and (until is None or event.position <= until):
                streams[event.stream_id].append(event)
    sides: defaultdict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for stream, found in streams.items():
        ref = EntityRef.parse(stream)
        spec = fold_events(ref, found).state.spec
        if spec is not None:
            sides[ref.aggregate_type][ref.name] = spec.model_dump(mode="json", by_alias=False)
    return sides


def difference(said: Sequence[Side]) -> str:
    """Of three sides, in short."""
    names = {
        name
        for name in set().union(*said)
        if not said[0].get(name) == said[1].get(name) == said[2].get(name)
    }
    shown = [(name, [side.get(name) for side in said]) for name in sorted(names)[:3]]
    return f"{len(names)} differ (legacy, read, log): {shown}"
