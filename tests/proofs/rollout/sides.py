"""Legacy table, read table and folded log, each read for itself and compared field by field."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, inspect, select, text
from tests.legacy.landscape import insert
from tests.proofs.rollout.operators import KIND, NAMESPACE, Operator, until

from eatool.domain.identity import EntityRef
from eatool.legacy.rows import canonical
from eatool.legacy.writing import LegacyRows
from eatool.projections.tables import READ_TABLES
from eatool.registry.folding import fold_events
from eatool.rollout.comparison import plain
from eatool.store.port import RecordedEvent
from eatool.store.sql.engine import open_engine

Side = dict[str, dict[str, Any]]


class Sides:
    """Of applications, on connections of their own."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)

    def close(self) -> None:
        self.engine.dispose()

    def legacy(self, but: Collection[str] = ()) -> Side:
        """Without the rows ``but``."""
        with self.engine.connect() as connection:
            rows = LegacyRows(connection).page(KIND.aggregate_type, limit=10_000)
        return {
            row.id: plain(canonical(KIND, row.values))
            for row in rows
            if not row.deleted and row.id not in but
        }

    def read(self) -> Side:
        read = READ_TABLES[KIND.aggregate_type]
        query = select(read.table).where(
            read.table.c.deleted_at.is_(None), read.table.c.namespace == NAMESPACE
        )
        with self.engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return {
            row["id"]: plain(KIND.spec.model_validate(read.spec_fields(row), by_name=True))
            for row in rows
        }

    def log(self, operator: Operator) -> Side:
        streams: dict[str, list[RecordedEvent]] = {}
        after = 0
        while events := operator.opened.store.read_all(after=after, limit=5_000):
            after = events[-1].position
            for event in events:
                if event.stream_id.startswith(f"{KIND.aggregate_type}/{NAMESPACE}/"):
                    streams.setdefault(event.stream_id, []).append(event)
        folded = {
            EntityRef.parse(stream): fold_events(EntityRef.parse(stream), events).state.spec
            for stream, events in streams.items()
        }
        return {
            ref.name: spec.model_dump(mode="json", by_alias=False)
            for ref, spec in folded.items()
            if spec is not None
        }

    async def agree(self, operator: Operator, *, but: Collection[str] = ()) -> Side:
        """Wait until all three say the same of the same entities; what they say."""
        said: list[Side] = []

        def same() -> bool:
            said[:] = [self.legacy(but), self.read(), self.log(operator)]
            return said[0] == said[1] == said[2]

        await until(same, lambda: _difference(said), 60)
        return said[0]

    def write(self, statement: str, **values: Any) -> None:
        """As the legacy application does."""
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def describe(self, name: str, description: str) -> None:
        self.write(
            "UPDATE applications SET description = :what WHERE id = :id", what=description, id=name
        )

    def insert(self, name: str, description: str) -> None:
        row = {
            "id": name,
            "name": f"Direct {name}",
            "description": description,
            "owner": "Old team",
            "lifecycle": "active",
            "data_classification": "internal",
        }
        with self.engine.begin() as connection:
            insert(connection, KIND.table, row)

    def remove(self, *names: str) -> None:
        for name in names:
            self.write("DELETE FROM applications WHERE id = :id", id=name)

    def tables(self) -> set[str]:
        def names(connection: Connection) -> set[str]:
            return set(inspect(connection).get_table_names())

        with self.engine.connect() as connection:
            return names(connection)


def _difference(said: list[Side]) -> str:
    names = {
        name
        for name in set().union(*said)
        if not said[0].get(name) == said[1].get(name) == said[2].get(name)
    }
    shown = [(name, [side.get(name) for side in said]) for name in sorted(names)[:3]]
    return f"{len(names)} differ (legacy, read, log): {shown}"
