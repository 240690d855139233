from __future__ import annotations

import pytest
from tests.plugins.mosquitto import certificates, make_mosquitto, mosquitto
from tests.plugins.postgres import postgres_server, postgres_url
from tests.plugins.solace import (
    make_solace,
    make_solace_process,
    solace,
    solace_client_library,
    solace_process,
)
from tests.publishing.support import Writer

from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.store.memory import MemoryEventStore

__all__ = [
    "certificates",
    "make_mosquitto",
    "make_solace",
    "make_solace_process",
    "mosquitto",
    "postgres_server",
    "postgres_url",
    "solace",
    "solace_client_library",
    "solace_process",
]


@pytest.fixture
def store() -> MemoryEventStore:
    return MemoryEventStore()


@pytest.fixture
def writer(store: MemoryEventStore) -> Writer:
    return Writer(store)


@pytest.fixture
def checkpoints() -> MemoryCheckpoints:
    return MemoryCheckpoints()
