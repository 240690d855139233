"""What is sampled is true, on real databases, and costs the same however long the log is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from tests.domain.memory_landscape import MemoryLandscape
from tests.projections.samples import server_append
from tests.store.stores import DATABASES, database_url

from eatool.domain.kinds import KINDS
from eatool.projections import checkpoints
from eatool.projections.following import Follower
from eatool.projections.inline import ReadModels
from eatool.projections.rebuild import rebuild
from eatool.projections.tables import PROJECTION
from eatool.registry.opening import OpenRegistry, open_registry
from eatool.store.encoding import StoredEvent
from eatool.store.sql.engine import OVERFLOW, POOLED, open_engine
from eatool.store.sql.log import SqlEventStore
from eatool.telemetry import sampling
from eatool.telemetry.labels import Labels
from eatool.telemetry.metrics import ProjectionState
from eatool.telemetry.prometheus import PrometheusMetrics
from eatool.telemetry.sampling import sample_projection, sample_store

BEHIND = "projection_lag_events"
OLDEST = "projection_oldest_unapplied_timestamp_seconds"
AT = "projection_position"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_PAUSE", 0.01)


@pytest.fixture
def metrics() -> PrometheusMetrics:
    return PrometheusMetrics(Labels.of(KINDS.values(), projections=(PROJECTION,)))


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_url(request.param, tmp_path, request)


@pytest.fixture
def apart(url: str) -> Iterator[SqlEventStore]:
    """The same log for somebody who leaves the read tables alone."""
    store = SqlEventStore(open_engine(url))
    yield store
    store.close()


class Looks:
    """What the series show, once they show it."""

    def __init__(self, metrics: PrometheusMetrics) -> None:
        self.metrics = metrics

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"eatool_{name}", labels)

    def projection(self, name: str) -> float | None:
        return self(name, projection=PROJECTION)

    @property
    def state(self) -> list[str]:
        states = {
            each: self("projection_state", projection=PROJECTION, state=each)
            for each in ProjectionState
        }
        return [state for state, value in states.items() if value]

    async def until(self, seen: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not seen():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def sampled(
    url: str, metrics: PrometheusMetrics, failing: Callable[[], bool] = lambda: False
) -> AsyncIterator[tuple[OpenRegistry, Looks]]:
    async with open_registry(url) as log:
        tasks = [
            asyncio.create_task(sample_store(log, metrics)),
            asyncio.create_task(sample_projection(log, metrics, failing=failing)),
        ]
        try:
            yield log, Looks(metrics)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # A look that is under way still holds a connection.
            await asyncio.get_running_loop().shutdown_default_executor()


def record(store: SqlEventStore, *regions: str, name: str = "s") -> list[StoredEvent]:
    landscape, ref = MemoryLandscape(), KINDS["server"].ref("default", name)
    before = store.head().position
    for region in regions:
        store.append(server_append(ref, landscape, region=region))
    return store.read_stored(after=before)


def follow(store: SqlEventStore) -> None:
    with store.engine.begin() as connection:
        checkpoints.begin(connection, PROJECTION, ["server"], store.head().position)


async def test_head_size_and_connections_of_the_store(url: str, metrics: PrometheusMetrics) -> None:
    async with sampled(url, metrics) as (log, look):
        await asyncio.to_thread(record, log.store, "north", "south")
        await look.until(lambda: look("store_head_position") == 2)
        assert look("store_up") == 1
        await look.until(lambda: look("db_connections", state="idle"))
        assert look("db_connections_limit") == POOLED + OVERFLOW
        before = look("store_size_bytes")
        assert before
        landscape, ref = MemoryLandscape(), KINDS["server"].ref("default", "large")
        for number in range(60):
            region = f"{number}".ljust(100, "x")
            await asyncio.to_thread(log.store.append, server_append(ref, landscape, region=region))
        await look.until(lambda: (look("store_size_bytes") or 0) > before)
        with log.store.engine.connect():
            await look.until(lambda: look("db_connections", state="used"))
        await look.until(lambda: look("db_connections", state="used") == 0)


async def test_a_projection_that_has_everything_is_live(
    url: str, metrics: PrometheusMetrics
) -> None:
    async with sampled(url, metrics) as (log, look):
        await look.until(lambda: look.state)
        assert (look.state, look.projection(AT), look.projection(OLDEST)) == (["live"], 0, 0)
        await asyncio.to_thread(record, log.store, "north")
        await look.until(lambda: look.projection(AT) == 1)
        assert (look.state, look.projection(BEHIND), look.projection(OLDEST)) == (["live"], 0, 0)


async def test_a_followed_kind_is_behind_by_its_oldest_event(
    url: str, metrics: PrometheusMetrics, apart: SqlEventStore
) -> None:
    failing = False
    async with sampled(url, metrics, lambda: failing) as (log, look):
        await asyncio.to_thread(record, log.store, "north")
        follow(log.store)
        oldest, *_ = await asyncio.to_thread(record, apart, "north", "south", name="t")
        await look.until(lambda: look.projection(BEHIND))
        await look.until(lambda: look.projection(AT) == 1 and look.projection(BEHIND) == 2)
        assert look.projection(OLDEST) == pytest.approx(oldest.recorded_at.timestamp())
        assert look.state == ["catching_up"]
        failing = True
        await look.until(lambda: look.state == ["failed"])
        failing = False
        follower = Follower(log.store, [ReadModels()], owner="a")
        while await asyncio.to_thread(follower.step):
            pass
        await look.until(lambda: look.state == ["live"])
        assert (look.projection(BEHIND), look.projection(OLDEST)) == (0, 0)
        assert look.projection(AT) == 3


async def test_tables_that_were_restored_apart_from_the_log_show(
    url: str, metrics: PrometheusMetrics, apart: SqlEventStore
) -> None:
    async with sampled(url, metrics) as (log, look):
        await asyncio.to_thread(record, log.store, "north")
        (lost,) = await asyncio.to_thread(record, apart, "north", name="t")
        await look.until(lambda: look.state == ["stopped"])
        assert (look.projection(AT), look.projection(BEHIND)) == (1, 1)
        assert look.projection(OLDEST) == pytest.approx(lost.recorded_at.timestamp())
        await asyncio.to_thread(rebuild, log.store)
        await look.until(lambda: look.state == ["live"])


async def test_no_look_counts_all_that_is_recorded(url: str, metrics: PrometheusMetrics) -> None:
    counting: list[str] = []

    def note(*arguments: Any) -> None:
        statement = " ".join(arguments[2].lower().split())
        if "count(" in statement:
            counting.append(statement)

    async with sampled(url, metrics) as (log, look):
        await asyncio.to_thread(record, log.store, "north")
        follow(log.store)
        event.listen(log.store.engine, "before_cursor_execute", note)
        await look.until(lambda: len(counting) > 30)
        event.remove(log.store.engine, "before_cursor_execute", note)
    assert all(re.search(r"position > .* and .*position <= ", each) for each in counting)


async def test_a_database_that_is_away_is_down(
    metrics: PrometheusMetrics, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    async with sampled(database_url("sqlite", tmp_path, request), metrics) as (log, look):
        await look.until(lambda: look("store_up") == 1)
        with log.store.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE log RENAME TO away")
        await look.until(lambda: look("store_up") == 0)
