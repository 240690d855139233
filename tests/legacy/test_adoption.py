"""Adopting tables that belong to somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select, text
from tests.legacy.landscape import create_tables, insert
from tests.store.stores import DATABASES, database_url

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.legacy.adoption import NotAdoptable, adopt, adopted_kinds, is_adopted, release
from eatool.legacy.tables import LEGACY_TABLES, legacy_change
from eatool.store.sql.engine import open_engine

ORGANIZATION, INTERFACE = KINDS["organization"], KINDS["application_interface"]
ALL = tuple(KINDS.values())


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(database_url(request.param, tmp_path, request))
    with made.begin() as connection:
        create_tables(connection)
    yield made
    made.dispose()


def dirty(connection: Connection) -> list[tuple[str, str]]:
    query = select(legacy_change.c.aggregate_type, legacy_change.c.id)
    return [(row[0], row[1]) for row in connection.execute(query.order_by(legacy_change.c.seq))]


def content(connection: Connection, kind: EntityKind) -> list[dict[str, Any]]:
    names = "id, " + ", ".join(LEGACY_TABLES[kind.aggregate_type].fields)
    query = text(f"SELECT {names}, created_at, updated_at FROM {kind.table} ORDER BY id")
    return [dict(row) for row in connection.execute(query).mappings()]


def version(connection: Connection, kind: EntityKind, row_id: str) -> int:
    column = LEGACY_TABLES[kind.aggregate_type].version
    query = text(f"SELECT {column} FROM {kind.table} WHERE id = :id")
    return int(connection.execute(query, {"id": row_id}).scalar_one())


def test_adopting_changes_no_value_and_can_be_repeated(engine: Engine) -> None:
    with engine.begin() as connection:
        insert(connection, "organizations", {"id": "Not A Name", "name": None})
        insert(connection, "application_interfaces", {"id": "api", "version": "v1"})
        before = {kind.kind: content(connection, kind) for kind in ALL}

    assert adopt(engine, ALL) == list(ALL)
    assert adopt(engine, ALL) == []

    assert adopted_kinds(engine, ALL) == list(ALL)
    with engine.connect() as connection:
        assert {kind.kind: content(connection, kind) for kind in ALL} == before
        assert version(connection, ORGANIZATION, "Not A Name") == 1
        assert version(connection, INTERFACE, "api") == 1
        assert dirty(connection) == []


def test_every_direct_write_leaves_a_dirty_key_and_a_new_version(engine: Engine) -> None:
    adopt(engine, ALL)
    with engine.begin() as connection:
        insert(connection, "organizations", {"id": "shop", "name": "Shop"})
        first = version(connection, ORGANIZATION, "shop")
        connection.execute(text("UPDATE organizations SET name = 'Shops'"))
        assert version(connection, ORGANIZATION, "shop") == first + 1
        connection.execute(text("UPDATE organizations SET id = 'shops'"))
        connection.execute(text("DELETE FROM organizations"))
        keys = dirty(connection)
    assert keys[:2] == [("organization", "shop")] * 2
    assert sorted(keys[2:]) == [("organization", each) for each in ("shop", "shops", "shops")]


def test_a_table_emptied_at_once_is_captured_too(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made = open_engine(database_url("postgresql", tmp_path, request))
    with made.begin() as connection:
        create_tables(connection)
        insert(connection, "organizations", {"id": "a", "name": "A"}, {"id": "b", "name": "B"})
    adopt(made, [ORGANIZATION])
    with made.begin() as connection:
        connection.execute(text("TRUNCATE organizations"))
        assert sorted(dirty(connection)) == [("organization", "a"), ("organization", "b")]
    made.dispose()


def test_a_key_that_is_none_hinders_nobody(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """SQLite takes NULL for a key; the old application must go on doing so."""
    made = open_engine(database_url("sqlite", tmp_path, request))
    with made.begin() as connection:
        create_tables(connection)
    adopt(made, [ORGANIZATION])
    with made.begin() as connection:
        insert(connection, "organizations", {"id": None, "name": "A"})
        connection.execute(text("UPDATE organizations SET name = 'B'"))
        connection.execute(text("DELETE FROM organizations"))
        assert dirty(connection) == []
    made.dispose()


def test_a_write_that_changes_nothing_is_none(engine: Engine) -> None:
    with engine.begin() as connection:
        insert(
            connection, "organizations", {"id": "shop", "name": "Shop", "domains": '["a.example"]'}
        )
    adopt(engine, ALL)
    with engine.begin() as connection:
        connection.execute(text("UPDATE organizations SET name = name, domains = domains"))
        assert version(connection, ORGANIZATION, "shop") == 1
        assert dirty(connection) == []


def test_a_row_never_has_a_version_twice(engine: Engine) -> None:
    """Deleted and inserted anew, it must not pass for the row that was read before."""
    adopt(engine, ALL)
    seen = []
    for round_ in range(3):
        with engine.begin() as connection:
            insert(connection, "organizations", {"id": "shop", "name": f"Shop {round_}"})
            seen.append(version(connection, ORGANIZATION, "shop"))
            connection.execute(text("UPDATE organizations SET name = 'Other'"))
            seen.append(version(connection, ORGANIZATION, "shop"))
            connection.execute(text("DELETE FROM organizations"))
    assert len(set(seen)) == len(seen)
    assert seen == sorted(seen)


def test_a_writer_that_keeps_the_version_itself_is_left_alone(engine: Engine) -> None:
    adopt(engine, ALL)
    with engine.begin() as connection:
        insert(connection, "organizations", {"id": "shop", "name": "Shop"})
        before = version(connection, ORGANIZATION, "shop")
        connection.execute(text("UPDATE organizations SET name = 'X', version = version + 5"))
        assert version(connection, ORGANIZATION, "shop") == before + 5


def test_released_tables_are_silent_and_keep_their_columns(engine: Engine) -> None:
    adopt(engine, ALL)
    assert release(engine, ALL) == list(ALL)
    assert release(engine, ALL) == []
    with engine.begin() as connection:
        insert(connection, "organizations", {"id": "shop", "name": "Shop"})
        assert version(connection, ORGANIZATION, "shop") == 1
        assert dirty(connection) == []
        assert not is_adopted(connection, ORGANIZATION)
    assert adopt(engine, [ORGANIZATION]) == [ORGANIZATION]


def test_a_table_of_another_shape_is_not_touched(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE organizations DROP COLUMN contacts"))
        connection.execute(text("DROP TABLE application_interfaces"))
    with pytest.raises(NotAdoptable, match="organizations has no column contacts"):
        adopt(engine, [ORGANIZATION])
    with pytest.raises(NotAdoptable, match="no table application_interfaces"):
        adopt(engine, [INTERFACE])
    with engine.begin() as connection:
        insert(connection, "organizations", {"id": "shop", "name": "Shop"})
        assert dirty(connection) == []


def test_the_old_application_needs_no_rights_on_our_tables(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = database_url("postgresql", tmp_path, request)
    engine = open_engine(url)
    with engine.begin() as connection:
        create_tables(connection)
    adopt(engine, ALL)
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE old_application"))
        connection.execute(
            text("GRANT SELECT, INSERT, UPDATE, DELETE ON organizations TO old_application")
        )
    try:
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL ROLE old_application"))
            insert(connection, "organizations", {"id": "shop", "name": "Shop"})
            connection.execute(text("UPDATE organizations SET name = 'Shops'"))
        with engine.connect() as connection:
            assert dirty(connection) == [("organization", "shop")] * 2
    finally:
        with engine.begin() as connection:
            connection.execute(text("DROP OWNED BY old_application"))
            connection.execute(text("DROP ROLE old_application"))
        engine.dispose()
