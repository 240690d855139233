"""Databases for property tests: one per example, cheap enough to make."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eatool.projections.inline import ReadModels
from eatool.projections.tables import READ_TABLES
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.migrate import upgrade


@contextmanager
def opened(url: str) -> Iterator[SqlEventStore]:
    """A migrated log with its read tables."""
    engine = open_engine(url)
    upgrade(engine)
    store = SqlEventStore(engine, projections=[ReadModels()])
    try:
        yield store
    finally:
        store.close()


@contextmanager
def sqlite() -> Iterator[SqlEventStore]:
    """One in a file of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(f"sqlite:///{Path(folder) / 'log.db'}") as store,
    ):
        yield store


def emptied(store: SqlEventStore) -> None:
    """Back to an empty log (PostgreSQL), without another migration."""
    with store.engine.begin() as connection:
        # The log is append-only; without its triggers this superuser may empty it.
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        names = ", ".join(each.table.name for each in READ_TABLES.values())
        connection.exec_driver_sql(f"TRUNCATE event, stream, unique_key, reference, {names}")
        connection.exec_driver_sql(
            "UPDATE log SET position = 0, hash = decode(repeat('00', 32), 'hex'), "
            "recorded_at = NULL"
        )
