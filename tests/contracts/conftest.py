from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.stores import ADAPTERS, Opener, opener

from eatool.store.port import EventStore


@pytest.fixture(params=ADAPTERS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens event stores of each adapter."""
    with opener(request.param, tmp_path, request) as open_store:
        yield open_store


@pytest.fixture
def store(open_store: Opener) -> EventStore:
    """An empty event log."""
    return open_store()
