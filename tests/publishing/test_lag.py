"""How far behind a destination is, as the tables have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.publishing.support import Writer, stream
from tests.store.stores import database_url

from eatool.publishing import lag as module
from eatool.publishing.checkpoints import ParkedStream
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.lag import LagReader
from eatool.store.encoding import partition_of
from eatool.store.port import StoreUnavailable
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

NAME = "main"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlEventStore]:
    engine = open_engine(database_url(request.param, tmp_path, request))
    store = SqlEventStore(engine)
    yield store
    store.close()


@pytest.fixture
def checkpoints(store: SqlEventStore) -> SqlCheckpoints:
    return SqlCheckpoints(store.engine)


@pytest.fixture
def reader(store: SqlEventStore, checkpoints: SqlCheckpoints) -> LagReader:
    return LagReader(store, checkpoints)


def test_an_unknown_destination_has_no_figures(store: SqlEventStore, reader: LagReader) -> None:
    Writer(store).write([stream(1)])
    lag = reader.lag(NAME)
    assert (lag.known, lag.position, lag.head, lag.events, lag.oldest) == (False, 0, 1, 0, None)


def test_events_are_counted_by_the_cursor_of_their_partition(
    store: SqlEventStore, checkpoints: SqlCheckpoints, reader: LagReader
) -> None:
    Writer(store).write([stream(number) for number in range(20)])
    claim = checkpoints.claim(NAME, "me", lease=60)
    assert reader.lag(NAME).events == 20
    before = store.read_all(limit=1)[0].recorded_at
    assert reader.lag(NAME).oldest == before

    late = partition_of(stream(7))
    done = [replace(each, position=20) for each in claim.held if each.partition != late]
    checkpoints.save(NAME, "me", done)
    behind = [
        event for event in store.read_all(limit=100) if partition_of(event.ref.stream_id) == late
    ]
    lag = reader.lag(NAME)
    assert (lag.events, lag.position, lag.head) == (len(behind), 0, 20)
    assert lag.oldest == behind[0].recorded_at


def test_partitions_without_events_hold_nothing_back(
    store: SqlEventStore, checkpoints: SqlCheckpoints, reader: LagReader
) -> None:
    Writer(store).write([stream(1)], rounds=5)
    claim = checkpoints.claim(NAME, "me", lease=60)
    busy = partition_of(stream(1))
    checkpoints.save(
        NAME, "me", [replace(each, position=5) for each in claim.held if each.partition == busy]
    )
    lag = reader.lag(NAME)
    assert (lag.events, lag.position, lag.oldest) == (0, 5, None), "idle cursors move later"


def test_far_behind_is_an_upper_bound(
    store: SqlEventStore,
    checkpoints: SqlCheckpoints,
    reader: LagReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_COUNTED", 10)
    Writer(store).write([stream(number) for number in range(30)])
    checkpoints.claim(NAME, "me", lease=60)
    lag = reader.lag(NAME)
    assert lag.events == 30
    assert lag.oldest == store.read_all(limit=1)[0].recorded_at


def test_parked_streams_and_their_newest_versions(
    store: SqlEventStore, checkpoints: SqlCheckpoints, reader: LagReader
) -> None:
    Writer(store).write([stream(1), stream(2)], rounds=3)
    partition = partition_of(stream(1))
    (epoch,) = (
        each.epoch
        for each in checkpoints.claim(NAME, "me", lease=60).held
        if each.partition == partition
    )
    row = ParkedStream(stream(1), partition, 1, 1, "too large", 1, datetime.now(UTC))
    checkpoints.park(NAME, "me", epoch, row)
    assert [each.stream_id for each in reader.lag(NAME).parked] == [stream(1)]
    assert reader.newest([stream(1), stream(9)]) == {stream(1): 3}


def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'log.db'}")
    store = SqlEventStore(engine)
    reader = LagReader(store, SqlCheckpoints(engine))
    with pytest.raises(StoreUnavailable):
        reader.newest([stream(1)])
    store.close()
