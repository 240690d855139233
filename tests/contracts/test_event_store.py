"""What every adapter of the event log promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
from tests.store.stores import Opener
from tests.store.support import append, event, ids

from eatool.store.encoding import GENESIS, partition_of
from eatool.store.port import (
    Append,
    Appended,
    EventIdTaken,
    EventStore,
    EventTooLarge,
    Head,
    InvalidEvent,
    StoreError,
    UnknownEventVersion,
    WrongExpectedVersion,
)

ID = uuid4()
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def versions(store: EventStore, stream: str) -> list[int]:
    return [each.version for each in store.read_stream(f"application/shop/{stream}")]


def test_an_empty_log(store: EventStore) -> None:
    assert store.head() == Head(0, GENESIS, None)
    assert store.read_all() == []
    assert store.read_stream("application/shop/a") == []
    assert store.position_at(datetime.now(UTC)) == 0


def test_which_streams_are_recorded(store: EventStore) -> None:
    assert store.recorded([]) == set()
    store.append(append("a", 0), append("b", 0))
    store.append(append("b", 1, no_referrers=True))
    with pytest.raises(WrongExpectedVersion):
        store.append(append("c", 7))
    names = [f"application/shop/{name}" for name in ("a", "b", "c", *map(str, range(1_200)))]
    assert store.recorded(names) == {"application/shop/a", "application/shop/b"}


def test_what_is_appended_is_read_back(store: EventStore) -> None:
    new = append("a", 0, 3)
    appended = store.append(new)

    assert not appended.repeated
    assert [each.position for each in appended.events] == [1, 2, 3]
    assert [each.version for each in appended.events] == [1, 2, 3]
    assert [each.event_id for each in appended.events] == ids(new.events)
    assert {each.partition for each in appended.events} == {partition_of(new.stream_id)}
    assert appended.events[0].data == new.events[0].data
    assert appended.events[0].metadata == new.events[0].metadata
    assert appended.events[0].correlation_id == new.events[0].correlation_id
    assert tuple(store.read_stream(new.stream_id)) == appended.events
    assert tuple(store.read_all()) == appended.events


def test_the_head_is_the_last_event(store: EventStore) -> None:
    last = store.append(append("a", 0, 2)).events[-1]
    assert store.head() == Head(last.position, last.hash, last.recorded_at)


def test_each_event_carries_the_hash_of_its_predecessor(store: EventStore) -> None:
    store.append(append("a", 0, 2), append("b", 0))
    events = store.read_all()
    assert [each.previous_hash for each in events] == [GENESIS, *(e.hash for e in events[:-1])]
    assert len({each.hash for each in events}) == 3


def test_reading_from_a_version_and_a_position(store: EventStore) -> None:
    store.append(append("a", 0, 5))
    assert [e.version for e in store.read_stream("application/shop/a", after_version=3)] == [4, 5]
    assert [e.position for e in store.read_all(after=1, limit=2)] == [2, 3]


def test_reading_some_partitions(store: EventStore) -> None:
    for number in range(20):
        store.append(append(f"s{number}", 0))
    events = store.read_all()
    wanted = {events[0].partition, events[7].partition}
    expected = [each for each in events if each.partition in wanted]
    assert store.read_all(partitions=wanted) == expected
    assert store.read_all(partitions=wanted, limit=1, after=1) == expected[1:2]
    assert store.read_all(partitions=()) == []


@pytest.mark.parametrize("expected", [0, 2, 7])
def test_a_wrong_expected_version_is_refused(store: EventStore, expected: int) -> None:
    store.append(append("a", 0))
    with pytest.raises(WrongExpectedVersion) as caught:
        store.append(append("a", expected))
    assert (caught.value.expected, caught.value.actual) == (expected, 1)
    assert versions(store, "a") == [1]


def test_repeating_an_append_adds_nothing(store: EventStore) -> None:
    new = append("a", 0, 2)
    first = store.append(new)
    store.append(append("a", 2))
    again = store.append(new)
    assert again == Appended(first.events, repeated=True)
    assert store.head().position == 3


def test_repeating_within_one_batch(store: EventStore) -> None:
    new = append("a", 0)
    first, again = store.append_batch([(new,), (new,)])
    assert isinstance(first, Appended)
    assert again == Appended(first.events, repeated=True)
    assert versions(store, "a") == [1]


def test_repeating_several_streams_at_once(store: EventStore) -> None:
    both = (append("a", 0), append("b", 0))
    first = store.append(*both)
    assert store.append(*both) == Appended(first.events, repeated=True)


def test_an_event_id_is_recorded_once(store: EventStore) -> None:
    new = append("a", 0)
    store.append(new)
    elsewhere = replace(append("b", 0), events=new.events)
    half = replace(new, events=(*new.events, event()))
    later = replace(new, expected_version=1, events=(event(), *new.events))
    neighbour = append("c", 0)
    outcomes = store.append_batch([(elsewhere,), (half,), (later,), (neighbour,)])
    assert [type(each) for each in outcomes] == [EventIdTaken, EventIdTaken, EventIdTaken, Appended]
    assert store.head().position == 2


def test_a_transaction_is_all_or_nothing(store: EventStore) -> None:
    store.append(append("b", 0))
    with pytest.raises(WrongExpectedVersion):
        store.append(append("a", 0), append("b", 0))
    assert versions(store, "a") == []


def test_one_transaction_may_append_twice_to_a_stream(store: EventStore) -> None:
    store.append(append("a", 0, 2), append("b", 0), append("a", 2))
    assert versions(store, "a") == [1, 2, 3]


def test_a_refusal_leaves_its_neighbours_alone(store: EventStore) -> None:
    outcomes = store.append_batch(
        [(append("a", 0),), (append("a", 0),), (append("a", 1), append("b", 0)), (append("b", 1),)]
    )
    assert [type(each) for each in outcomes] == [
        Appended,
        WrongExpectedVersion,
        Appended,
        Appended,
    ]
    assert [each.position for each in store.read_all()] == [1, 2, 3, 4]


def test_a_large_batch(store: EventStore) -> None:
    outcomes = store.append_batch([(append(f"s{n % 40}", n // 40),) for n in range(400)])
    assert all(isinstance(each, Appended) for each in outcomes)
    events = store.read_all(limit=1000)
    assert [each.position for each in events] == list(range(1, 401))
    assert [e for o in outcomes if isinstance(o, Appended) for e in o.events] == events


def test_an_empty_batch(store: EventStore) -> None:
    assert store.append_batch([]) == []


def with_data(data: dict[str, Any]) -> Append:
    return replace(append("a", 0), events=(replace(event(), data=data),))


@pytest.mark.parametrize(
    ("new", "error"),
    [
        (with_data({"x": "y" * 65_536}), EventTooLarge),
        (replace(append("a", 0), events=(replace(event(), metadata={"x": "y" * 8192}),)),
         EventTooLarge),
        (append("a", 0, 101), EventTooLarge),
        (with_data({"x": [1.0, float("nan")]}), InvalidEvent),
        (with_data({"x": float("inf")}), InvalidEvent),
        (with_data({"x": "a\0b"}), InvalidEvent),
        (with_data({"a\0b": 1}), InvalidEvent),
        (with_data({"x": "\ud800"}), InvalidEvent),
        (with_data({"x": 1 << 70}), InvalidEvent),
        (with_data({"x": object()}), InvalidEvent),
        (replace(append("a", 0), events=()), InvalidEvent),
        (replace(append("a", 0), events=(event(event_id=ID), event(event_id=ID))), InvalidEvent),
        (replace(append("a", 0), events=(replace(event(), actor="a\0b"),)), InvalidEvent),
        (replace(append("a", 0), events=(replace(event(), actor="\ud800"),)), InvalidEvent),
        (replace(append("a", 0), stream_id="application/shop/a\nb"), InvalidEvent),
        (replace(append("a", 0), stream_id="s" * 351), InvalidEvent),
    ],
)  # fmt: skip
def test_what_cannot_be_stored_exactly_is_refused(
    store: EventStore, new: Append, error: type[StoreError]
) -> None:
    refused, neighbour = store.append_batch([(new,), (append("b", 0),)])
    assert type(refused) is error
    assert isinstance(neighbour, Appended)
    assert store.head().position == 1


@pytest.mark.parametrize("text", ["\\u0000", "null", "nan", "\U0001f600", "\u2028", "a\tb\\n'\""])
def test_unusual_text_comes_back_as_it_was(store: EventStore, text: str) -> None:
    store.append(with_data({text: [None, text]}))
    assert store.read_all()[0].data == {text: [None, text]}


def test_recorded_at_never_goes_back(open_store: Opener) -> None:
    times = iter([NOON, NOON - timedelta(hours=1), NOON + timedelta(microseconds=1)])
    store = open_store(clock=lambda: next(times))
    for version in range(3):
        store.append(append("a", version))
    recorded = [each.recorded_at for each in store.read_all()]
    assert recorded == [NOON, NOON, NOON + timedelta(microseconds=1)]


def test_as_of_a_time(open_store: Opener) -> None:
    times = iter([NOON, NOON, NOON + timedelta(hours=1)])
    store = open_store(clock=lambda: next(times))
    for version in range(3):
        store.append(append("a", version))
    tick = timedelta(microseconds=1)
    assert [store.position_at(NOON + d) for d in (-tick, 0 * tick, timedelta(hours=1))] == [0, 2, 3]
    until = store.read_stream("application/shop/a", until=NOON)
    assert [each.version for each in until] == [1, 2]


def test_as_of_any_time_of_a_longer_log(open_store: Opener) -> None:
    hours = [0, 0, 0, 1, 2, 2, 5, 5, 5, 5, 6]
    times = iter([NOON + timedelta(hours=hour) for hour in hours])
    store = open_store(clock=lambda: next(times))
    for version in range(len(hours)):
        store.append(append("a", version))
    for hour in range(-1, 8):
        expected = sum(each <= hour for each in hours)
        assert store.position_at(NOON + timedelta(hours=hour)) == expected


def test_times_of_other_zones_mean_the_same(open_store: Opener) -> None:
    zone = datetime.fromisoformat("2026-01-31T14:00:00+02:00")
    store = open_store(clock=lambda: zone)
    store.append(append("a", 0))
    assert store.read_all()[0].recorded_at == NOON
    assert store.position_at(zone) == 1


def upcast(type_: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if type_ == "Strange.v9":
        raise UnknownEventVersion(type_)
    return type_.replace(".v1", ".v2"), {**data, "upcast": True}


def test_events_are_read_through_the_upcaster(open_store: Opener) -> None:
    store = open_store(upcast=upcast)
    new = append("a", 0)
    store.append(new)
    for each in (
        store.read_all()[0],
        store.read_stream(new.stream_id)[0],
        store.append(new).events[0],
    ):
        assert each.type == "ApplicationUpdated.v2"
        assert each.data["upcast"] is True


def test_an_unknown_version_stops_the_reader(open_store: Opener) -> None:
    store = open_store(upcast=upcast)
    store.append(append("a", 0, type_="Strange.v9"))
    with pytest.raises(UnknownEventVersion):
        store.read_all()


def test_the_stored_form_is_what_was_written_whatever_this_release_can_read(
    open_store: Opener,
) -> None:
    store = open_store(upcast=upcast)
    store.append(append("a", 0, 2))
    store.append(append("b", 0, type_="Strange.v9"))

    rows = store.read_stored()

    assert [row.position for row in rows] == [1, 2, 3]
    assert rows[2].type == "Strange.v9"
    assert rows[0].type == "ApplicationUpdated.v1"
    assert orjson.loads(rows[0].data) == append("a", 0).events[0].data
    assert store.read_stored(after=1, limit=1) == rows[1:2]
    assert store.read_stored(partitions={rows[2].partition}) == rows[2:]
    assert store.read_stored_stream(rows[0].stream_id) == rows[:2]
    assert store.read_stored_stream(rows[0].stream_id, after_version=1) == rows[1:2]
    assert str(rows[0].ref) == rows[0].stream_id


def test_listeners_hear_of_commits(store: EventStore) -> None:
    heard: list[int] = []

    def failing(_position: int) -> None:
        raise RuntimeError("a listener must not break an append")

    stop_failing = store.on_append(failing)
    stop: Callable[[], None] = store.on_append(heard.append)
    store.append(append("a", 0, 2))
    store.append_batch([(append("a", 7),)])
    stop()
    stop()
    stop_failing()
    store.append(append("a", 2))
    assert heard == [2]


def test_ids_of_events_are_kept_apart_from_none(store: EventStore) -> None:
    plain = replace(event(), correlation_id=None, causation_id=uuid4())
    store.append(replace(append("a", 0), events=(plain,)))
    read = store.read_all()[0]
    assert (read.correlation_id, read.causation_id) == (None, plain.causation_id)
