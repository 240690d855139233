"""The operator's own checks of ``/readyz``, asked over HTTP, on real databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from alembic import command
from tests.store.stores import DATABASES

from eatool.api.app import ROUTES, create_app
from eatool.api.server import serve
from eatool.runtime import Process
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore
from eatool.telemetry.labels import Labels
from eatool.telemetry.prometheus import PrometheusMetrics

HOST = "127.0.0.1"


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlEventStore]:
    """On a database without a schema."""
    url = (
        f"sqlite:///{tmp_path / 'empty.db'}"
        if request.param == "sqlite"
        else str(request.getfixturevalue("postgres_url"))
    )
    opened = SqlEventStore(open_engine(url))
    yield opened
    opened.close()


@pytest.fixture
async def http(store: SqlEventStore) -> AsyncIterator[httpx.AsyncClient]:
    metrics = PrometheusMetrics(Labels(events={}, routes=ROUTES))
    app = create_app(
        registry=metrics.registry,
        metrics=metrics,
        checks=Process(store=store).checks(),
        check_seconds=30,
    )
    async with (
        serve(app, HOST, 0) as port,
        httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=60) as client,
    ):
        yield client


async def checks(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.get("/readyz")
    assert answer.status_code == 503, "nothing is watched yet"
    found: dict[str, Any] = answer.json()["checks"]
    assert found["watches"] == {"ok": False, "why": "not started"}
    return found


async def test_a_database_without_a_schema_is_not_ready(
    http: httpx.AsyncClient, store: SqlEventStore
) -> None:
    before = await checks(http)
    assert before["migrations"] == {"ok": False, "why": "run `eatool store migrate`"}
    assert not before["store"]["ok"]

    migrate.upgrade(store.engine)
    after = await checks(http)
    assert (after["migrations"]["ok"], after["store"]["ok"]) == (True, True)


async def test_the_schema_of_an_older_release_is_not_ready(
    http: httpx.AsyncClient, store: SqlEventStore
) -> None:
    migrate.upgrade(store.engine)
    with store.engine.begin() as connection:
        command.downgrade(migrate.config(connection), "relay_0001")
    behind = await checks(http)
    assert behind["migrations"] == {"ok": False, "why": "run `eatool store migrate`"}
    assert behind["store"]["ok"], "what an older release wrote can be read"
