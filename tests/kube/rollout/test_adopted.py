"""What a rollout says of a table that it cannot move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from eatool.domain.kinds import by_kind
from eatool.kube.rollout.deciding import why_not_adopted
from eatool.legacy import adoption
from eatool.legacy.tables import LEGACY_TABLES
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine

KIND = by_kind("Application")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}/log.db")
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


def create(engine: Engine, *columns: str) -> None:
    with engine.begin() as connection:
        definitions = ", ".join(f"{name} TEXT" for name in columns)
        connection.exec_driver_sql(
            f"CREATE TABLE {KIND.table} (id TEXT PRIMARY KEY, {definitions})"
        )


def test_a_missing_table_is_not_to_be_adopted(engine: Engine) -> None:
    why = why_not_adopted(engine, KIND)
    assert why is not None
    assert "has no table applications" in why
    assert "adopt" not in why


def test_another_table_of_the_name_says_what_it_lacks(engine: Engine) -> None:
    create(engine, "name")
    why = why_not_adopted(engine, KIND)
    assert why is not None
    assert "table applications has no column" in why
    assert why.endswith("add it, then run: eatool legacy adopt -k Application")


def test_the_command_that_is_named_mends_it(engine: Engine) -> None:
    create(engine, *LEGACY_TABLES[KIND.aggregate_type].fields, "created_at", "updated_at")
    why = why_not_adopted(engine, KIND)
    assert why == "table applications is not adopted; run: eatool legacy adopt -k Application"
    adoption.adopt(engine, [KIND])
    assert why_not_adopted(engine, KIND) is None
