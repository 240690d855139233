"""Following the log by checkpoints ends where inline projection would have been all along."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.domain.memory_landscape import MemoryLandscape
from tests.projections.samples import server_append
from tests.store.stores import DATABASES, database_url
from tests.store.support import append as other_append

from eatool.domain.kinds import KINDS
from eatool.projections import checkpoints, following
from eatool.projections.following import Follower
from eatool.projections.inline import ReadModels
from eatool.projections.queries import Entities
from eatool.projections.tables import PROJECTION
from eatool.store.port import RecordedEvent
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore


class Clock:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[SqlEventStore]:
    """A log that projects nothing inline."""
    store = SqlEventStore(open_engine(database_url(request.param, tmp_path, request)), clock=clock)
    yield store
    store.close()


def follow(store: SqlEventStore, *kinds: str, position: int = 0) -> None:
    with store.engine.begin() as connection:
        checkpoints.begin(connection, PROJECTION, kinds, position)


def follower(store: SqlEventStore, clock: Clock, owner: str = "a", page: int = 1000) -> Follower:
    return Follower(store, [ReadModels()], owner=owner, clock=clock, page=page)


def servers(store: SqlEventStore, count: int = 5, *regions: str | None) -> None:
    for number in range(count):
        landscape = MemoryLandscape()
        ref = KINDS["server"].ref("default", f"s{number}")
        for region in regions or ("north", "south"):
            store.append(server_append(ref, landscape, region=region))


def regions(store: SqlEventStore) -> list[str]:
    return [str(each.fields["region"]) for each in Entities(store.engine).list("server")]


def test_nothing_is_followed_until_somebody_says_so(store: SqlEventStore, clock: Clock) -> None:
    servers(store)
    each = follower(store, clock)
    assert each.step() == 0
    assert each.lag() == {}
    assert regions(store) == []


def test_tables_end_as_inline_projection_leaves_them(store: SqlEventStore, clock: Clock) -> None:
    servers(store, 4, "north", None, "south")
    follow(store, "server")
    each = follower(store, clock, page=5)
    steps = []
    while done := each.step():
        steps.append(done)
    assert steps == [5, 5, 2]
    found = Entities(store.engine).list("server")
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM read_servers")
        ReadModels().apply(connection, store.read_all())
    assert found == Entities(store.engine).list("server")
    assert [record.fields["region"] for record in found] == 4 * ["south"]


def test_kinds_begin_and_end_on_their_own(store: SqlEventStore, clock: Clock) -> None:
    store.append(other_append("other/shop/a", 0))
    servers(store, 2, "north")
    follow(store, "other", position=1)
    each = follower(store, clock)
    each.step()
    assert regions(store) == []
    assert each.lag()["other"].position == 3

    follow(store, "server", position=1)  # it had been inline up to there
    each.step()
    assert regions(store) == ["north", "north"]
    follow(store, "server", position=0)  # is followed already
    assert each.lag()["server"].position == 3
    with store.engine.begin() as connection:
        checkpoints.end(connection, PROJECTION, ["server"])
    assert set(each.lag()) == {"other"}


def test_a_kind_that_begins_while_a_page_is_read_loses_nothing(
    store: SqlEventStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers(store, 3, "north")
    store.append(other_append("other/shop/a", 0))
    follow(store, "other", position=3)
    read = store.read_stored

    def begin_meanwhile(*, after: int = 0, limit: int = 1000) -> object:
        page = read(after=after, limit=limit)
        follow(store, "server", position=0)
        return page

    each = follower(store, clock)
    monkeypatch.setattr(store, "read_stored", begin_meanwhile)
    each.step()
    monkeypatch.undo()
    while each.step():
        pass
    assert regions(store) == ["north"] * 3


def test_rows_and_checkpoint_move_together(store: SqlEventStore, clock: Clock) -> None:
    class Broken:
        def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
            raise RuntimeError("broken")

    servers(store, 2)
    follow(store, "server")
    broken = Follower(store, [ReadModels(), Broken()], owner="a", clock=clock)
    with pytest.raises(RuntimeError, match="broken"):
        broken.step()
    assert regions(store) == []
    assert broken.lag()["server"].position == 0
    follower(store, clock).step()
    assert len(regions(store)) == 2


def test_one_process_follows_at_a_time(store: SqlEventStore, clock: Clock) -> None:
    servers(store, 2)
    follow(store, "server")
    first, second = follower(store, clock, "a", page=1), follower(store, clock, "b", page=1)
    assert first.step() == 1
    assert second.step() == 0
    clock.now += timedelta(seconds=16)  # killed
    assert second.step() == 1
    assert first.step() == 0
    second.release()
    assert first.step() == 1


def test_lag_counts_events_of_the_kind_and_their_age(store: SqlEventStore, clock: Clock) -> None:
    follow(store, "server", "other")
    servers(store, 3, "north")
    clock.now += timedelta(seconds=9)
    store.append(other_append("server2/shop/a", 0))
    each = follower(store, clock)
    lag = each.lag()
    assert (lag["server"].events, lag["server"].seconds) == (3, 9.0)
    assert (lag["other"].events, lag["other"].seconds) == (0, 0.0)
    each.step()
    assert each.lag()["server"].events == 0


def test_an_event_behind_many_of_other_kinds_still_waits(
    store: SqlEventStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_COUNTED", 3)
    follow(store, "server")
    for version in range(5):
        store.append(other_append("a", version))
    each = follower(store, clock)
    assert each.lag()["server"].events == 0
    servers(store, 1)
    clock.now += timedelta(seconds=7)
    waiting = each.lag()["server"]
    assert (waiting.events, waiting.seconds) == (1, 7.0)


async def test_it_runs_until_it_is_stopped(store: SqlEventStore, clock: Clock) -> None:
    follow(store, "server")
    stopping, each = asyncio.Event(), follower(store, clock)
    running = asyncio.create_task(each.run(stopping))
    await asyncio.to_thread(servers, store, 3)
    async with asyncio.timeout(20):
        while await asyncio.to_thread(regions, store) != ["south"] * 3:
            await asyncio.sleep(0.02)
        stopping.set()
        await running
    with store.connect() as connection:
        assert checkpoints.holder(connection, PROJECTION) == (None, None)


async def test_a_failure_is_said_without_values_and_tried_again(
    store: SqlEventStore, clock: Clock, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    class Flaky(ReadModels):
        left = 2

        def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
            self.left -= 1
            if self.left >= 0:
                raise RuntimeError("north")
            super().apply(connection, events)

    monkeypatch.setattr("eatool.projections.following._FAILED", 0.01)
    servers(store, 1, "north")
    follow(store, "server")
    stopping = asyncio.Event()
    failing: list[bool] = []
    each = Follower(
        store, [Flaky()], owner="a", clock=clock, failed=lambda: failing.append(each.failing)
    )
    running = asyncio.create_task(each.run(stopping))
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(regions, store):
            await asyncio.sleep(0.02)
        stopping.set()
        await running
    assert failing == [True, True], "each failure is told, and lasts until a page passes"
    assert not each.failing
    assert "projection read_tables stands: RuntimeError" in caplog.text
    assert "north" not in caplog.text
