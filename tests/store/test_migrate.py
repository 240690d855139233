"""The schema: from nothing, from several processes at once, and equal to the metadata."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, Table
from tests.store.stores import DATABASES

from eatool.store.sql import migrate, tables
from eatool.store.sql.engine import open_engine, reading

OURS = {
    table.name
    for table in vars(tables).values()
    if isinstance(table, Table)
}  # fmt: skip


@pytest.fixture(params=DATABASES)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of each kind."""
    url = (
        f"sqlite:///{tmp_path / 'log.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    engine = open_engine(url)
    yield engine
    engine.dispose()


def test_from_nothing_to_head(empty: Engine) -> None:
    assert migrate.current(empty) == frozenset()
    assert not migrate.is_at_head(empty)
    migrate.upgrade(empty)
    assert migrate.is_at_head(empty)
    assert migrate.current(empty) == migrate.head() != frozenset()
    migrate.upgrade(empty)


def test_several_at_once(empty: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(migrate.upgrade, empty) for _ in range(4)]:
            done.result()
    assert migrate.is_at_head(empty)
    with reading(empty).connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM log").scalar_one() == 1


def test_migrations_make_what_the_metadata_says(empty: Engine) -> None:
    migrate.upgrade(empty)

    def ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
        return kind != "table" or name in OURS

    with reading(empty).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": ours, "compare_type": True}
        )
        assert compare_metadata(context, tables.event.metadata) == []
