"""The three sides of applications, and direct writes to their legacy table."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, inspect, text
from tests.legacy.landscape import insert
from tests.proofs.rollout.operators import KIND, NAMESPACE, Operator, until
from tests.proofs.sides import Side, difference, legacy_side, log_sides, read_side

from eatool.store.sql.engine import open_engine


class Sides:
    """Of applications, on connections of their own."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)

    def close(self) -> None:
        self.engine.dispose()

    def legacy(self, but: Collection[str] = ()) -> Side:
        """Without the rows ``but``."""
        return legacy_side(self.engine, KIND, but=but)

    def read(self) -> Side:
        return read_side(self.engine, KIND, NAMESPACE)

    def log(self, operator: Operator) -> Side:
        return log_sides(operator.opened.store, NAMESPACE, [KIND])[KIND.aggregate_type]

    async def agree(self, operator: Operator, *, but: Collection[str] = ()) -> Side:
        """Wait until all three say the same of the same entities; what they say."""
        said: list[Side] = []

        def same() -> bool:
            said[:] = [self.legacy(but), self.read(), self.log(operator)]
            return said[0] == said[1] == said[2]

        await until(same, lambda: difference(said), 60)
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
