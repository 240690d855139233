from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.store.stores import DATABASES, database_url

from eatool.rollout.ledger_sql import SqlLedger
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore


class Time:
    """A clock that goes where it is told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> datetime:
        self.now += timedelta(**delta)
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, migrated database of each kind."""
    return database_url(request.param, tmp_path, request)


Open = Callable[[], SqlEventStore]


@pytest.fixture
def open_store(url: str) -> Iterator[Open]:
    """Opens event logs on one database, as several processes would."""
    opened: list[SqlEventStore] = []

    def open_one() -> SqlEventStore:
        opened.append(SqlEventStore(open_engine(url)))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> SqlEventStore:
    return open_store()


@pytest.fixture
def ledger(store: SqlEventStore, time: Time) -> SqlLedger:
    return SqlLedger(store, clock=time)
