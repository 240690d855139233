"""Which part of the log a relay sends: selection, start and end, on every store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.publishing.support import (
    QUICK,
    Writer,
    arrivals,
    assert_complete_and_ordered,
    lowest_position,
    make_relay,
    refuse,
    running,
    stream,
    until,
)
from tests.store.stores import ADAPTERS, database_url

from eatool.publishing.checkpoints import Checkpoints
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.declared.broker import StartSpec
from eatool.publishing.declared.replay import EventReplaySpec
from eatool.publishing.memory import MemoryBroker
from eatool.publishing.port import PermanentPublishError
from eatool.publishing.positions import replay_range, start_position
from eatool.publishing.problems import SpecProblem
from eatool.publishing.progress import Progress, progress
from eatool.publishing.relay import Relay
from eatool.publishing.selection import Selection
from eatool.store.memory import MemoryEventStore
from eatool.store.port import PARTITIONS
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Ticking:
    """One minute for every look."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


@pytest.fixture(params=ADAPTERS)
def parts(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[MemoryEventStore | SqlEventStore, Checkpoints]]:
    if request.param == "memory":
        yield MemoryEventStore(clock=Ticking()), MemoryCheckpoints()
        return
    engine = open_engine(database_url(request.param, tmp_path, request))
    store = SqlEventStore(engine, clock=Ticking())
    yield store, SqlCheckpoints(engine)
    store.close()


def positions(broker: MemoryBroker, store: MemoryEventStore | SqlEventStore) -> list[int]:
    known = {str(event.event_id): event.position for event in store.read_stored()}
    return sorted(known[event_id] for _, _, event_id in arrivals(broker.delivered))


async def finish(relay: Relay) -> None:
    async with asyncio.timeout(10):
        await relay.run()


async def test_start_and_end_are_exact(
    parts: tuple[MemoryEventStore | SqlEventStore, Checkpoints],
) -> None:
    store, checkpoints = parts
    Writer(store).write(map(stream, range(7)), rounds=3)
    broker = MemoryBroker()
    options = replace(QUICK, start=4, until=17, page=5)
    relay = make_relay(store, broker.publisher, checkpoints, options=options)
    await finish(relay)
    assert positions(broker, store) == list(range(5, 18))
    assert {cursor.position for cursor in checkpoints.cursors("test")} == {17}
    assert {cursor.owner for cursor in checkpoints.cursors("test")} == {None}
    assert progress(checkpoints.cursors("test"), 4, 17) == Progress(13, 13)
    # Asked again, it sees that there is nothing left.
    await finish(make_relay(store, broker.publisher, checkpoints, options=options))
    assert len(broker.delivered) == 13


async def test_two_relays_end_when_both_are_through(
    parts: tuple[MemoryEventStore | SqlEventStore, Checkpoints],
) -> None:
    store, checkpoints = parts
    writer = Writer(store)
    writer.write(map(stream, range(30)))
    broker = MemoryBroker()
    broker.hold()
    options = replace(QUICK, until=30)
    relays = [make_relay(store, broker.publisher, checkpoints, options=options) for _ in range(2)]
    running_ = [asyncio.create_task(finish(relay)) for relay in relays]
    await until(lambda: len(broker.outstanding) == 30)
    assert not any(task.done() for task in running_)
    writer.write(map(stream, range(30)))
    broker.release()
    await asyncio.gather(*running_)
    assert positions(broker, store) == list(range(1, 31))


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (None, 0),
        ({"position": "Earliest"}, 0),
        ({"position": "Latest"}, 3),
        ({"position": "Timestamp", "timestamp": "2025-12-31T00:00:00Z"}, 0),
        ({"position": "Timestamp", "timestamp": "2026-01-01T12:02:30Z"}, 2),
        ({"position": "Timestamp", "timestamp": "2027-01-01T00:00:00Z"}, 3),
    ],
)
def test_start_positions(
    parts: tuple[MemoryEventStore | SqlEventStore, Checkpoints],
    start: dict[str, str] | None,
    expected: int,
) -> None:
    store, _ = parts
    Writer(store).write([stream(1)], rounds=3)
    spec = None if start is None else StartSpec.model_validate(start)
    assert start_position(spec, store) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, (0, 3)),
        ({}, (0, 3)),
        ({"afterPosition": 1, "toPosition": 2}, (1, 2)),
        ({"toPosition": 1000}, (0, 3)),
        ({"afterTime": "2026-01-01T12:01:30Z", "toTime": "2026-01-01T12:02:30Z"}, (1, 2)),
        ({"afterTime": "2026-02-01T00:00:00Z"}, (3, 3)),
        ({"afterPosition": 3}, (3, 3)),
        ({"afterPosition": 4}, "starts after position 4, but the log ends at 3"),
        ({"afterPosition": 2, "toPosition": 1}, "starts after position 2 but ends at 1"),
        ({"afterPosition": 2, "afterTime": "2026-01-01T12:01:30Z"}, "not both"),
        ({"toPosition": 2, "toTime": "2026-01-01T12:01:30Z"}, "not both"),
    ],
)
def test_ranges_of_replays(
    store: MemoryEventStore, given: dict[str, object] | None, expected: tuple[int, int] | str
) -> None:
    log = MemoryEventStore(clock=Ticking())
    Writer(log).write([stream(1)], rounds=3)
    replay = EventReplaySpec.model_validate({"broker": "b", "topicPrefix": "r", "range": given})
    if isinstance(expected, str):
        with pytest.raises(SpecProblem, match=expected) as caught:
            replay_range(replay, log)
        assert (caught.value.field, caught.value.reason) == ("spec.range", "InvalidRange")
    else:
        assert replay_range(replay, log) == expected


def test_a_replay_of_entities_that_were_never_recorded_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = MemoryEventStore()
    Writer(log).write([stream(1), stream(2)])
    # To know that there are events, none has to be read: a stream may have very many.
    for reading in ("read_stored", "read_stored_stream"):
        monkeypatch.delattr(MemoryEventStore, reading)

    def bounds(*streams: str) -> tuple[int, int]:
        spec = {"broker": "b", "topicPrefix": "r", "streams": streams}
        return replay_range(EventReplaySpec.model_validate(spec), log)

    assert bounds(stream(1), stream(2)) == (0, 2)
    with pytest.raises(SpecProblem, match=f"of {stream(3)};") as caught:
        bounds(stream(1), stream(3))
    assert (caught.value.field, caught.value.reason) == ("spec.streams", "UnknownStream")
    with pytest.raises(SpecProblem, match=f"{stream(5)} and 2 more;"):
        bounds(*map(stream, range(3, 8)))


async def test_a_place_kept_from_the_beginning_is_where_the_relay_starts(
    parts: tuple[MemoryEventStore | SqlEventStore, Checkpoints],
) -> None:
    store, checkpoints = parts
    writer = Writer(store)
    writer.write([stream(1)], rounds=2)
    checkpoints.begin("test", 2)
    checkpoints.begin("test", 0)
    writer.write([stream(1)], rounds=1)
    broker = MemoryBroker()
    async with running(make_relay(store, broker.publisher, checkpoints)):
        await until(lambda: len(broker.delivered) == 1)
    assert positions(broker, store) == [3]


async def test_cursors_pass_what_is_not_selected(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    wanted = stream(3)
    writer.write(map(stream, range(20)), rounds=5)
    selects = Selection(streams=frozenset({wanted}))
    async with running(make_relay(store, broker.publisher, checkpoints, selects=selects)) as (
        relay,
    ):
        await until(lambda: len(broker.delivered) == 5)
        await until(lambda: relay.status().lag_events == 0)
    assert lowest_position(checkpoints) == 100
    assert_complete_and_ordered(arrivals(broker.delivered), {wanted: 5})


async def test_onlookers_see_soon_that_what_is_not_selected_does_not_wait(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    selects = Selection(streams=frozenset({stream(0)}))
    options = replace(QUICK, lease=3600)  # the next look at the leases is far away
    relay = make_relay(store, broker.publisher, checkpoints, selects=selects, options=options)

    def nothing_waits() -> bool:
        cursors = {each.partition: each.position for each in checkpoints.cursors("test")}
        return all(event.position <= cursors[event.partition] for event in store.read_stored())

    async with running(relay):
        await until(lambda: relay.status().partitions == PARTITIONS)
        writer.write(map(stream, range(1, 50)))
        await until(nothing_waits)


async def test_a_parked_stream_catches_up_with_selected_events_only(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    broker = MemoryBroker()
    broker.verdict = refuse(stream(1), PermanentPublishError("no"))
    selects = Selection(event_types=frozenset({"ApplicationUpdated"}))
    writer.write([stream(1)], rounds=4)
    async with running(make_relay(store, broker.publisher, checkpoints, selects=selects)) as (
        relay,
    ):
        await until(lambda: len(checkpoints.parked("test")) == 1)
        assert checkpoints.parked("test")[0].first_version == 2
        broker.verdict = lambda _message: None
        await until(lambda: relay.status().lag_events == 0)
        assert await relay.unpark(stream(1))
        await until(lambda: checkpoints.parked("test") == [])
    assert [version for _, version, _ in arrivals(broker.delivered)] == [2, 3, 4]


def test_progress_is_exact_at_both_ends() -> None:
    checkpoints = MemoryCheckpoints()
    assert progress(checkpoints.cursors("r"), 10, 74) == Progress(0, 64)
    claim = checkpoints.claim("r", "a", lease=15, start=10)
    assert progress(checkpoints.cursors("r"), 10, 74).done == 0
    half = [replace(cursor, position=74) for cursor in claim.held[:32]]
    checkpoints.save("r", "a", half)
    assert progress(checkpoints.cursors("r"), 10, 74) == Progress(32, 64)
    checkpoints.save("r", "a", [replace(cursor, position=74) for cursor in claim.held])
    assert progress(checkpoints.cursors("r"), 10, 74).complete
    assert progress([], 5, 5).complete
