"""The old application and its team, who write to their tables and know of nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from tests.legacy.landscape import insert
from tests.legacy.registry import OldRegistry
from tests.proofs.cluster.busy import Busy
from tests.proofs.cluster.marks import Owed, column

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS, by_kind
from eatool.store.sql.engine import open_engine

_SERVER = by_kind("Server")


@contextmanager
def application_engine(url: str) -> Iterator[Engine]:
    """As the old application connects: on PostgreSQL by a role that may write its tables only."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = open_engine(url)
        yield engine
        engine.dispose()
        return
    role = f"old_{parsed.database}"
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    tables = ", ".join(kind.table for kind in KINDS.values())
    with admin.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {role}"))
    engine = open_engine(parsed.set(username=role))
    yield engine
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))
        connection.execute(text(f"DROP ROLE {role}"))
    admin.dispose()


class OldTeam:
    """Edits rows that no custom resource declares. ``owed``: what the log must say of them."""

    def __init__(self, old: OldRegistry, engine: Engine, declared: Collection[str]) -> None:
        self.engine = engine
        self.owed: Owed = {}
        self.dirt = {
            kind.aggregate_type: {name for table, name in old.built.refused if table == kind.table}
            for kind in KINDS.values()
        }
        #: Without the first of each table, whose names dirty rows have taken.
        self._rows = {
            kind.aggregate_type: sorted(
                {str(row["id"]) for row in old.built.rows[kind.table]}
                - set(declared)
                - self.dirt[kind.aggregate_type]
            )[1:]
            for kind in KINDS.values()
        }
        self._numbers = count(1)
        self.busy = Busy(self._goes_on)

    def write(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def mark(self, kind: EntityKind, name: str, mark: str, *, table: str | None = None) -> None:
        self.write(
            f"UPDATE {table or kind.table} SET {column(kind)} = :mark WHERE id = :id",
            mark=mark,
            id=name,
        )

    def edit(self, kind: EntityKind, mark: str, *, counts: bool = True) -> str:
        """Another row; its id. ``counts``: the table is authoritative."""
        name = self.unedited(kind)
        was = self.said(kind, name)
        self.mark(kind, name, f"{mark} {name}")
        self.owed[kind.aggregate_type, name] = f"{mark} {name}" if counts else was
        return name

    def edit_every_kind(self, mark: str, *, but: Collection[EntityKind] = ()) -> None:
        for kind in KINDS.values():
            if kind not in but:
                self.edit(kind, mark)

    def unedited(self, kind: EntityKind) -> str:
        """A sound row that nobody has edited and nobody else will."""
        return self._rows[kind.aggregate_type].pop()

    def said(self, kind: EntityKind, name: str, *, table: str | None = None) -> str | None:
        """The mark of a row."""
        query = text(f"SELECT {column(kind)} FROM {table or kind.table} WHERE id = :id")
        with self.engine.connect() as connection:
            found: str | None = connection.scalar(query, {"id": name})
        return found

    def create(self, name: str) -> None:
        row = {
            "id": name,
            "hostname": f"{name}.shop.example",
            "environment": "prod",
            "criticality": "low",
            "owning_team": "new",
        }
        with self.engine.begin() as connection:
            insert(connection, _SERVER.table, row)
        self.owed["server", name] = "new"

    def remove(self, kind: EntityKind, *names: str) -> None:
        for name in names:
            self.write(f"DELETE FROM {kind.table} WHERE id = :id", id=name)
            self.owed[kind.aggregate_type, name] = None

    def clean_up(self) -> None:
        """The servers get a host name, everything else that nobody could read goes."""
        for kind in KINDS.values():
            dirt = sorted(self.dirt[kind.aggregate_type])
            if kind is not _SERVER:
                self.remove(kind, *dirt)
                continue
            for name in dirt:
                hostname = f"{name}.shop.example"
                self.write(
                    "UPDATE servers SET hostname = :host, owning_team = 'repaired' WHERE id = :id",
                    host=hostname,
                    id=name,
                )
                self.owed["server", name] = "repaired"

    def is_refused(self, kind: EntityKind, table: str) -> bool:
        """Whether the database refuses an edit, an insert and a deletion."""
        statements = (
            f"UPDATE {table} SET {column(kind)} = 'too late'",
            f"INSERT INTO {table} (id) VALUES ('too-late')",
            f"DELETE FROM {table}",
        )
        for statement in statements:
            try:
                self.write(statement)
            except DBAPIError:
                continue
            return False
        return True

    def _goes_on(self, number: int) -> None:
        """An edit of an application, a new server, the end of the one before."""
        self.edit(by_kind("Application"), f"old application {number}")
        self.create(f"srv-busy-{number}")
        if number > 1:
            self.remove(_SERVER, f"srv-busy-{number - 1}")
