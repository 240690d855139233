from __future__ import annotations

from pathlib import Path

import pytest
from tests.store.stores import DATABASES, database_url


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, migrated database of each kind."""
    return database_url(request.param, tmp_path, request)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'registry.db'}"


@pytest.fixture(params=[*DATABASES, "imagined"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """The same, and ``None`` for a registry without a database."""
    if request.param == "imagined":
        return None
    return database_url(request.param, tmp_path, request)
