from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.commands.support import Clock
from tests.store.stores import ADAPTERS, Opener, database_url, opener

from eatool.commands.memory import MemoryCommandQueue
from eatool.commands.port import CommandQueue
from eatool.commands.sql import SqlCommandQueue
from eatool.store.port import EventStore
from eatool.store.sql.engine import open_engine


@pytest.fixture(params=ADAPTERS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens event stores of each adapter."""
    with opener(request.param, tmp_path, request) as open_store:
        yield open_store


@pytest.fixture
def store(open_store: Opener) -> EventStore:
    """An empty event log."""
    return open_store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=ADAPTERS)
def queue(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[CommandQueue]:
    if request.param == "memory":
        yield MemoryCommandQueue(clock)
        return
    engine = open_engine(database_url(request.param, tmp_path, request))
    yield SqlCommandQueue(engine, clock=clock)
    engine.dispose()
