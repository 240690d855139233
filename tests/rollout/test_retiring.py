"""The legacy table of a kind that retires: renamed, closed, dropped on a person's word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import DBAPIError
from tests.operator.rollout_site import old_registry

from eatool.domain.kinds import by_kind
from eatool.projections import checkpoints
from eatool.projections.tables import PROJECTION
from eatool.rollout.actions import Commit, carry_out
from eatool.rollout.appending import hold
from eatool.rollout.closing import retired_name
from eatool.rollout.draining import Draining
from eatool.rollout.dropping import TABLE_DROPPED
from eatool.rollout.findings import Findings
from eatool.rollout.ledger import (
    CannotRetire,
    Cause,
    TransitionResult,
    Trigger,
    fence_name,
    stream_of,
)
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.phases import Phase
from eatool.rollout.retiring import Retirement
from eatool.store.port import Fence
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore
from eatool.store.verify import verify_chain

_SERVER = by_kind("Server")
_INSERT = "INSERT INTO {} (id, hostname) VALUES ('a', 'a.example')"
_WRITES = (_INSERT, "UPDATE {} SET hostname = 'b.example'", "DELETE FROM {}")


@pytest.fixture
def store(url: str) -> Iterator[SqlEventStore]:
    old_registry(url, "Server")
    store = SqlEventStore(open_engine(url))
    yield store
    store.close()


@pytest.fixture
def retirement(store: SqlEventStore) -> Retirement:
    return Retirement(store)


@pytest.fixture
def application(url: str, retirement: Retirement) -> Iterator[Engine]:
    """The old application; on PostgreSQL by a role of its own, which may do what it needs to."""
    if not url.startswith("postgresql"):
        engine = open_engine(url)
        yield engine
        engine.dispose()
        return
    role = f"old_{uuid4().hex[:12]}"
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    engine = open_engine(make_url(url).set(username=role))
    with admin.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON servers TO {role}"))
        connection.execute(text("GRANT UPDATE (region) ON servers TO PUBLIC"))
        yield engine
        engine.dispose()
        connection.execute(text(f"DROP OWNED BY {role}"))
        connection.execute(text(f"DROP ROLE {role}"))
    admin.dispose()


def run(engine: Engine, statement: str) -> list[str]:
    with engine.begin() as connection:
        found = connection.execute(text(statement))
        return list(found.scalars()) if found.returns_rows else []


def test_a_retired_table_can_be_read_and_not_be_written(
    store: SqlEventStore, application: Engine
) -> None:
    run(application, _INSERT.format("servers"))
    verified(store)
    name = retired_name(_SERVER, retire(SqlLedger(store)))
    for table in ("servers", name):
        for write in _WRITES:
            with pytest.raises(DBAPIError):
                run(application, write.format(table))
    with pytest.raises(DBAPIError):
        run(application, f"UPDATE {name} SET region = 'eu'")
    assert run(application, f"SELECT hostname FROM {name}") == ["a.example"]


def test_no_write_is_accepted_and_lost_around_the_commit(
    store: SqlEventStore, application: Engine
) -> None:
    """Unverified, it keeps the kind from retiring; after the commit it is refused."""
    ledger = SqlLedger(store)
    epoch = prepare(ledger)
    run(application, _INSERT.format("servers"))
    with pytest.raises(CannotRetire, match="not verified"):
        ledger.commit("server", epoch)
    assert ledger.standings()["server"].phase is Phase.ASYNC_COMMANDS
    run(application, "UPDATE servers SET hostname = 'still.open'")
    verified(store)
    ledger.commit("server", epoch)
    with pytest.raises(DBAPIError):
        run(application, "UPDATE servers SET hostname = 'lost.example'")


def test_a_writer_that_has_not_committed_is_waited_for(
    store: SqlEventStore, application: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody sees yet must not slip into a table that nobody looks at any more."""
    if store.engine.dialect.name != "postgresql":
        return  # one writer at a time: there is no other transaction to wait for
    monkeypatch.setattr("eatool.rollout.closing._LOCK_TIMEOUT", "100ms")
    ledger = SqlLedger(store)
    epoch = prepare(ledger)
    with application.begin() as connection:
        connection.execute(text(_INSERT.format("servers")))
        with pytest.raises(CannotRetire, match="servers is in use"):
            ledger.commit("server", epoch)
    with pytest.raises(CannotRetire, match="not verified"):
        ledger.commit("server", epoch)


def test_a_reader_that_stays_ends_the_attempt_when_it_is_late(
    store: SqlEventStore, application: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes of the kind must not be held for as long as a dump takes."""
    if store.engine.dialect.name != "postgresql":
        return  # a reader does not keep SQLite from anything
    monkeypatch.setattr("eatool.rollout.closing._LOCK_TIMEOUT", "100ms")
    ledger = SqlLedger(store)
    epoch = prepare(ledger)
    with application.begin() as connection:
        connection.execute(text("SELECT count(*) FROM servers"))
        with pytest.raises(CannotRetire):
            carry_out(ledger, "server", Commit(epoch))
        given_up(ledger, epoch, "gave up: servers is in use by a transaction of more than 100ms")


def test_a_write_that_stays_unverified_ends_the_attempt_when_it_is_late(
    store: SqlEventStore, application: Engine
) -> None:
    ledger = SqlLedger(store)
    epoch = prepare(ledger)
    run(application, _INSERT.format("servers"))
    with pytest.raises(CannotRetire):
        carry_out(ledger, "server", Commit(epoch))
    given_up(ledger, epoch, "gave up: servers was written to and is not verified yet")


def test_the_commit_takes_its_locks_in_the_order_of_the_follower(store: SqlEventStore) -> None:
    """Otherwise either of the two would be a victim of a deadlock."""
    if store.engine.dialect.name != "postgresql":
        return  # one writer at a time
    ledger = SqlLedger(store)
    epoch = prepare(ledger)
    current = ledger.standings()["server"].epoch
    with ThreadPoolExecutor(1) as thread:
        with store.engine.begin() as follower:
            hold(follower, Fence(fence_name("server"), current))
            committed = thread.submit(ledger.commit, "server", epoch)
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
            while not committed.done() and not run(store.engine, waiting):
                pass
            follower.execute(text("LOCK TABLE servers IN ROW EXCLUSIVE MODE NOWAIT"))
        assert committed.result().phase is Phase.RETIRED


def test_it_is_dropped_with_all_that_closed_it_and_the_log_says_on_whose_word(
    retirement: Retirement, store: SqlEventStore
) -> None:
    since = retire(SqlLedger(store))
    name = retired_name(_SERVER, since)
    assert retirement.remains(_SERVER, since) == name
    assert not retirement.drop(_SERVER, "applications", "jane")
    assert retirement.drop(_SERVER, name, "jane")
    assert retirement.remains(_SERVER, since) is None
    assert not {"servers", name} & set(inspect(store.engine).get_table_names())
    assert not retirement.drop(_SERVER, name, "jane"), "once"
    *_, retired, dropped = store.read_stream(stream_of("server"))
    assert (retired.data["to"], dropped.type) == ("Retired", TABLE_DROPPED)
    assert (dropped.actor, dropped.data["table"]) == ("jane", name)
    assert datetime.fromisoformat(dropped.data["retired_at"]) == since
    assert verify_chain(store).sound


def test_a_name_that_is_taken_keeps_the_kind_from_retiring(store: SqlEventStore) -> None:
    ledger = SqlLedger(store)
    epoch = prepare(ledger)
    for day in (0, 1):  # the test may run at midnight
        name = retired_name(_SERVER, datetime.now(UTC) + timedelta(days=day))
        run(store.engine, f"CREATE TABLE {name} (id text)")
    kept(store, epoch, "there is another table servers_retired_")


def test_a_foreign_key_to_the_table_keeps_the_kind_from_retiring(store: SqlEventStore) -> None:
    """Racks of new servers could not be recorded any more, nor on PostgreSQL any."""
    ledger = SqlLedger(store)
    epoch = prepare(ledger)
    run(store.engine, "CREATE TABLE racks (id text, server text REFERENCES servers (id))")
    mend = "drop that constraint first"
    kept(store, epoch, f"servers is referenced by racks.server: {mend}")
    run(store.engine, "DROP TABLE racks")
    ledger.commit("server", epoch)


def test_a_foreign_key_of_the_table_keeps_the_kind_from_retiring(store: SqlEventStore) -> None:
    """What it refers to could not be deleted any more."""
    ledger = SqlLedger(store)
    epoch = prepare(ledger)
    run(store.engine, "CREATE TABLE sites (id text PRIMARY KEY)")
    run(store.engine, "ALTER TABLE servers ADD COLUMN site text REFERENCES sites (id)")
    kept(store, epoch, "servers.site references sites: drop that constraint first")


def test_foreign_keys_among_retired_tables_are_nobodys_obstacle(store: SqlEventStore) -> None:
    """Nobody writes to either; nor is a table in its own way."""
    ledger = SqlLedger(store)
    run(store.engine, "ALTER TABLE servers ADD COLUMN parent text REFERENCES servers (id)")
    name = retired_name(_SERVER, retire(ledger))
    run(store.engine, f"ALTER TABLE organizations ADD COLUMN server text REFERENCES {name} (id)")
    ledger.commit("organization", prepare(ledger, "organization"))


def test_a_table_of_somebody_else_is_not_taken_for_the_retired_one(
    retirement: Retirement, store: SqlEventStore
) -> None:
    since = retire(SqlLedger(store))
    name = retired_name(_SERVER, since)
    run(store.engine, f"DROP TABLE {name}")
    run(store.engine, f"CREATE TABLE {name} (id text)")
    assert retirement.remains(_SERVER, since) is None
    assert not retirement.drop(_SERVER, name, "jane")
    assert name in inspect(store.engine).get_table_names()


def verified(store: SqlEventStore) -> None:
    """As if whoever looks at written rows had looked."""
    run(store.engine, "DELETE FROM legacy_change")


def kept(store: SqlEventStore, epoch: int, why: str) -> None:
    """Both who waits and who commits say why the table stays as it is."""
    ledger = SqlLedger(store)
    draining = Draining(store, Findings(store.engine), lambda _: (), "default")
    with store.transaction() as connection:
        checkpoints.begin(connection, PROJECTION, ["server"], store.head().position)
    left = draining.left(ledger.standings()["server"], ledger.history("server"))
    assert left is not None
    assert why in left
    with pytest.raises(CannotRetire, match=re.escape(why)):
        ledger.commit("server", epoch)
    assert "servers" in inspect(store.engine).get_table_names()


def given_up(ledger: SqlLedger, epoch: int, why: str) -> None:
    """A late commit ends the step, and the history says why."""
    standing = carry_out(ledger, "server", Commit(epoch, late=True))
    assert (standing.phase, standing.preparation) == (Phase.ASYNC_COMMANDS, None)
    newest = ledger.history("server")[0]
    assert (newest.result, newest.target) == (TransitionResult.ABORTED, Phase.RETIRED)
    assert newest.cause.reason == why


def prepare(ledger: SqlLedger, name: str = "server") -> int:
    """Step by step; the epoch with which Retired is announced."""
    cause = Cause(Trigger.AUTO, "in a test")
    standing = ledger.enroll(name, cause)
    while (to := standing.phase.next) is not None:
        prepared = ledger.begin(name, to, cause).preparation
        assert prepared is not None
        if to is Phase.RETIRED:
            return prepared.epoch
        standing = ledger.commit(name, prepared.epoch)
    raise AssertionError("unreachable: Retired is the last")


def retire(ledger: SqlLedger) -> datetime:
    """Since when the kind is in Retired."""
    return ledger.commit("server", prepare(ledger)).since
