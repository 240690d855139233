"""The three adapters, by name, for parametrised fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pytest

from eatool.store.clock import utc_now
from eatool.store.encoding import Upcast, newest
from eatool.store.memory import MemoryEventStore
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

ADAPTERS = ("memory", "sqlite", "postgresql")
DATABASES = ("sqlite", "postgresql")

AnyStore = MemoryEventStore | SqlEventStore


class Opener(Protocol):
    """Opens another store on the same log."""

    def __call__(
        self, *, upcast: Upcast = newest, clock: Callable[[], datetime] = utc_now
    ) -> AnyStore: ...


def database_url(name: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database."""
    if name == "sqlite":
        url = f"sqlite:///{folder / 'log.db'}"
    else:
        url = str(request.getfixturevalue("postgres_url"))
    engine = open_engine(url)
    migrate.upgrade(engine)
    engine.dispose()
    return url


@contextmanager
def opener(name: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Opens stores on one new log and closes them at the end."""
    opened: list[AnyStore] = []
    url = "" if name == "memory" else database_url(name, folder, request)

    def open_store(*, upcast: Upcast = newest, clock: Callable[[], datetime] = utc_now) -> AnyStore:
        store: AnyStore = (
            MemoryEventStore(upcast=upcast, clock=clock)
            if name == "memory"
            else SqlEventStore(open_engine(url), upcast=upcast, clock=clock)
        )
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        store.close()
