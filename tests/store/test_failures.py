"""What callers see when the database goes away, and that nothing is recorded twice after."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from tests.plugins.postgres import PostgresServer
from tests.store.stores import database_url
from tests.store.support import append

from eatool.store.port import (
    Appended,
    AppendRefused,
    ProjectionFailed,
    RecordedEvent,
    StoreError,
    StoreUnavailable,
)
from eatool.store.sql import engine
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore
from eatool.store.verify import verify_chain


class Sabotage:
    """A projection that does something in the middle of every append, once armed."""

    def __init__(self, statement: str = "") -> None:
        self.statement = statement
        self.armed = False
        self.seen: list[int] = []

    def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        self.seen += [each.position for each in events]
        if self.armed:
            self.armed = False
            connection.execute(text(self.statement))


class Hushing(Sabotage):
    """A projection that hides what the database told it."""

    def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        with suppress(DBAPIError):
            super().apply(connection, events)


class Picky:
    """A projection with a defect that one stream brings out."""

    def apply(self, _connection: Connection, events: Sequence[RecordedEvent]) -> None:
        if any(each.stream_id.endswith("/bad") for each in events):
            raise ZeroDivisionError


def test_a_killed_connection_fails_the_append_and_not_the_next(
    postgres_server: PostgresServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = database_url("postgresql", tmp_path, request)
    sabotage = Sabotage("SELECT pg_terminate_backend(pg_backend_pid())")
    sabotage.armed = True
    store = SqlEventStore(open_engine(url), projections=[sabotage])
    new = append("a", 0)
    with pytest.raises(StoreUnavailable):
        store.append(new)
    assert not store.append(new).repeated
    assert store.append(new).repeated
    assert verify_chain(store).sound
    store.close()
    assert postgres_server.cluster.port


def test_a_connection_killed_under_an_append_that_went_ahead_is_not_noticed(
    postgres_server: PostgresServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = database_url("postgresql", tmp_path, request)
    sabotage = Sabotage("SELECT pg_terminate_backend(pg_backend_pid())")
    store = SqlEventStore(open_engine(url), projections=[sabotage])
    store.append(append("a", 0))
    sabotage.armed = True
    assert not store.append(append("a", 1)).repeated
    assert [event.version for event in store.read_all()] == [1, 2]
    assert verify_chain(store).sound
    store.close()
    assert postgres_server.cluster.port


@pytest.mark.parametrize("appended", [0, 1], ids=["under the lock", "ahead"])
def test_a_failure_that_a_projection_hides_is_no_commit(
    request: pytest.FixtureRequest, tmp_path: Path, appended: int
) -> None:
    url = database_url("postgresql", tmp_path, request)
    hushing = Hushing("SELECT 1 / 0")
    store = SqlEventStore(open_engine(url), projections=[hushing])
    for version in range(appended):
        store.append(append("a", version))
    hushing.armed = True
    with pytest.raises(StoreError):
        store.append(append("a", appended))
    assert store.head().position == appended
    store.append(append("a", appended))
    assert verify_chain(store).sound
    store.close()


def test_idle_connections_killed_meanwhile_are_not_noticed(
    postgres_server: PostgresServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store = SqlEventStore(open_engine(database_url("postgresql", tmp_path, request)))
    store.append(append("a", 0))
    kill_clients(postgres_server)
    store.append(append("a", 1))
    kill_clients(postgres_server)
    assert store.head().position == 2
    store.close()


def kill_clients(server: PostgresServer) -> None:
    with server.cluster.admin() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'eatool'"
        )


def test_an_append_survives_a_crash_of_the_server(
    postgres_server: PostgresServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store = SqlEventStore(open_engine(database_url("postgresql", tmp_path, request)))
    first = store.append(append("a", 0))
    postgres_server.stop(signal.SIGQUIT)
    new = append("a", 1)
    try:
        with pytest.raises(StoreUnavailable):
            store.append(new)
        with pytest.raises(StoreUnavailable):
            store.head()
    finally:
        postgres_server.start()
    store.append(new)
    assert store.read_all()[0] == first.events[0]
    assert store.head().position == 2
    store.close()


def test_a_transaction_inside_another_of_the_same_process_fails(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqlEventStore(open_engine(database_url("sqlite", tmp_path, request)))
    monkeypatch.setattr(engine, "LOCK_TIMEOUT_MS", 50)
    with store.transaction(), pytest.raises(StoreUnavailable, match="locked by this process"):
        store.append(append("a", 0))
    store.append(append("a", 0))
    store.close()


def test_a_locked_sqlite_database_is_unavailable(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database_url("sqlite", tmp_path, request)
    monkeypatch.setattr("eatool.store.sql.engine.LOCK_TIMEOUT_MS", 50)
    store = SqlEventStore(open_engine(url))
    other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreUnavailable, match="locked"):
            store.append(append("a", 0))
        assert store.head().position == 0
    finally:
        other.close()
    store.append(append("a", 0))
    store.close()


def test_a_missing_schema_says_what_to_do(tmp_path: Path, postgres_url: str) -> None:
    for url in (f"sqlite:///{tmp_path / 'empty.db'}", postgres_url):
        store = SqlEventStore(open_engine(url))
        for attempt in (store.head, lambda: store.append(append("a", 0))):  # noqa: B023
            with pytest.raises(StoreUnavailable, match="eatool store migrate"):
                attempt()
        store.close()


def test_a_schema_that_is_too_old_says_what_to_do(url: str) -> None:
    store = SqlEventStore(open_engine(url))
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE event RENAME COLUMN metadata TO meta")
    for attempt in (store.read_all, lambda: store.append(append("a", 0))):
        with pytest.raises(StoreUnavailable, match="too old, run `eatool store migrate`"):
            attempt()
    store.close()


def test_a_failing_projection_takes_only_its_own_transaction(url: str) -> None:
    store = SqlEventStore(open_engine(url), projections=[Picky()])
    names = ["a", "b", "bad", "c", "d"]
    outcomes = store.append_batch([(append(name, 0),) for name in names])
    assert [type(each) for each in outcomes] == [Appended] * 2 + [ProjectionFailed] + [Appended] * 2
    assert [each.stream_id.rpartition("/")[2] for each in store.read_all()] == ["a", "b", "c", "d"]
    assert verify_chain(store).sound
    store.close()


def test_a_refused_statement_is_not_a_driver_error(url: str) -> None:
    sabotage = Sabotage("SELECT * FROM no_such_function(1, 2)")
    store = SqlEventStore(open_engine(url), projections=[sabotage])
    sabotage.armed = True
    with pytest.raises(StoreError) as caught:
        store.append(append("a", 0))
    assert "SELECT" not in str(caught.value)
    store.append(append("a", 0))
    store.close()


def test_a_serialization_failure_is_tried_again(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    sabotage = Sabotage("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")
    url = database_url("postgresql", tmp_path, request)
    store = SqlEventStore(open_engine(url), projections=[sabotage])
    sabotage.armed = True
    assert not store.append(append("a", 0)).repeated
    assert sabotage.seen == [1, 1]
    store.close()


def test_projections_see_every_commit_in_order(url: str) -> None:
    witness = Sabotage()
    store = SqlEventStore(open_engine(url), projections=[witness])
    store.append_batch([(append("a", 0, 2),), (append("a", 0),), (append("b", 0),)])
    with store.engine.begin() as connection:
        store.append_in(connection, append("a", 2))
    assert witness.seen == [1, 2, 3, 4]
    store.close()


def test_a_joined_append_commits_and_rolls_back_with_its_transaction(log: SqlEventStore) -> None:
    new = append("a", 0)
    with log.engine.connect() as connection:
        connection.execute(text("CREATE TABLE legacy (id integer)"))
        connection.commit()
        connection.execute(text("INSERT INTO legacy VALUES (1)"))
        log.append_in(connection, new)
        connection.rollback()
        assert log.head().position == 0
        connection.execute(text("INSERT INTO legacy VALUES (2)"))
        log.append_in(connection, new)
        connection.commit()
        assert log.append_in(connection, new).repeated
        with pytest.raises(AppendRefused):
            log.append_in(connection, append("a", 0))
        connection.execute(text("INSERT INTO legacy VALUES (3)"))
        connection.commit()
        assert connection.execute(text("SELECT id FROM legacy ORDER BY id")).scalars().all() == [
            2,
            3,
        ]
    assert log.head().position == 1


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://x@y/z"], indirect=False
)
def test_databases_that_cannot_hold_a_log(url: str) -> None:
    with pytest.raises(ValueError, match="event log needs"):
        open_engine(url)


def test_sqlite_is_durable(tmp_path: Path) -> None:
    with open_engine(f"sqlite:///{tmp_path / 'log.db'}").connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
    }
