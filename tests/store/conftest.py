from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.stores import DATABASES, database_url

from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, migrated database of each kind."""
    return database_url(request.param, tmp_path, request)


@pytest.fixture
def log(url: str) -> Iterator[SqlEventStore]:
    """The SQL event log on it."""
    store = SqlEventStore(open_engine(url))
    yield store
    store.close()
