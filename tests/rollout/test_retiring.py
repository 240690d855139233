"""The legacy table of a kind that retires: renamed, closed, dropped on a person's word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import DBAPIError
from tests.operator.rollout_site import old_registry

from eatool.domain.kinds import by_kind
from eatool.rollout.dropping import TABLE_DROPPED
from eatool.rollout.ledger import Cause, Trigger, stream_of
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.retiring import Retirement
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore
from eatool.store.verify import verify_chain

_SERVER = by_kind("Server")
_AT = datetime(2027, 2, 1, 9, tzinfo=UTC)
_RETIRED = "servers_retired_20270201"
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
    retirement: Retirement, application: Engine
) -> None:
    run(application, _INSERT.format("servers"))
    assert retirement.rename(_SERVER, _AT) == _RETIRED
    assert retirement.rename(_SERVER, _AT) is None
    for table in ("servers", _RETIRED):
        for write in _WRITES:
            with pytest.raises(DBAPIError):
                run(application, write.format(table))
    with pytest.raises(DBAPIError):
        run(application, f"UPDATE {_RETIRED} SET region = 'eu'")
    assert run(application, f"SELECT hostname FROM {_RETIRED}") == ["a.example"]


def test_it_is_dropped_with_all_that_closed_it_and_the_log_says_on_whose_word(
    retirement: Retirement, store: SqlEventStore
) -> None:
    since = retire(SqlLedger(store))
    name = f"servers_retired_{since:%Y%m%d}"
    assert retirement.remains(_SERVER, since) is None, "it is not renamed yet"
    assert not retirement.drop(_SERVER, name, "jane"), "nor dropped by a name it will have"
    retirement.rename(_SERVER, since)
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


def test_a_table_of_somebody_else_is_not_taken_for_the_retired_one(
    retirement: Retirement, store: SqlEventStore
) -> None:
    since = retire(SqlLedger(store))
    name = f"servers_retired_{since:%Y%m%d}"
    run(store.engine, f"CREATE TABLE {name} (id text)")
    assert retirement.rename(_SERVER, since) is None
    assert retirement.remains(_SERVER, since) is None
    assert not retirement.drop(_SERVER, name, "jane")
    assert name in inspect(store.engine).get_table_names()


def retire(ledger: SqlLedger) -> datetime:
    """Step by step; since when the kind is in Retired."""
    cause = Cause(Trigger.AUTO, "in a test")
    standing = ledger.enroll("server", cause)
    while (to := standing.phase.next) is not None:
        prepared = ledger.begin("server", to, cause).preparation
        assert prepared is not None
        standing = ledger.commit("server", prepared.epoch)
    return standing.since
