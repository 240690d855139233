"""Effect and progress commit together, or neither does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eatool.consuming import Duplicate, Event, Gap, Inbox, Late, New, Verdict


def event(stream: str, sequence: int) -> Event:
    return Event(
        id=f"{stream}@{sequence}",
        stream=stream,
        sequence=sequence,
        position=sequence,
        type="ApplicationUpdated",
        version=1,
        time="2026-11-23T14:15:15Z",
        recorded_time="2026-11-23T14:15:15Z",
        actor="jane@example.com",
        data={},
    )


class Consumer:
    """Writes down what takes effect; dies where it is told to."""

    def __init__(self, database: str | Path, **options: bool | str) -> None:
        self.connection = sqlite3.connect(database)
        self.connection.execute("CREATE TABLE IF NOT EXISTS effects (stream TEXT, sequence INT)")
        self.inbox = Inbox(self.connection, **options)  # type: ignore[arg-type] # a test's short cut
        self.dies = False

    def effect(self, event: Event, _verdict: Verdict) -> None:
        row = (event.stream, event.sequence)
        self.connection.execute("INSERT INTO effects VALUES (?, ?)", row)
        if self.dies:
            raise InterruptedError

    def receive(self, stream: str, sequence: int) -> Verdict:
        return self.inbox.receive(event(stream, sequence), self.effect)

    def effects(self) -> list[tuple[str, int]]:
        return list(self.connection.execute("SELECT * FROM effects ORDER BY rowid"))


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    made = Consumer(":memory:")
    yield made
    made.connection.close()


def test_each_event_takes_effect_once(consumer: Consumer) -> None:
    assert isinstance(consumer.receive("a", 1), New)
    assert consumer.receive("a", 1) == Duplicate()
    assert isinstance(consumer.receive("b", 1), New)
    assert isinstance(consumer.receive("a", 2), New)
    assert consumer.effects() == [("a", 1), ("b", 1), ("a", 2)]


def test_an_effect_that_fails_leaves_nothing_behind(consumer: Consumer) -> None:
    consumer.dies = True
    with pytest.raises(InterruptedError):
        consumer.receive("a", 1)
    assert consumer.effects() == []
    assert consumer.inbox.progress("a") is None
    consumer.dies = False
    assert isinstance(consumer.receive("a", 1), New)
    assert consumer.effects() == [("a", 1)]


def test_after_a_gap_it_waits(consumer: Consumer) -> None:
    assert isinstance(consumer.receive("a", 2), Gap)
    assert consumer.effects() == []
    consumer.receive("a", 1)
    assert isinstance(consumer.receive("a", 2), New)
    assert consumer.effects() == [("a", 1), ("a", 2)]


def test_or_goes_on_where_that_is_accepted() -> None:
    consumer = Consumer(":memory:", accept_gaps=True)
    assert isinstance(consumer.receive("a", 2), Gap)
    assert isinstance(consumer.receive("a", 1), Late)
    assert consumer.receive("a", 1) == Duplicate()
    assert consumer.effects() == [("a", 2), ("a", 1)]
    consumer.connection.close()


def test_two_programs_cannot_judge_the_same_event_at_once(tmp_path: Path) -> None:
    first = Consumer(tmp_path / "mirror.db")
    second = Consumer(tmp_path / "mirror.db")
    second.connection.execute("PRAGMA busy_timeout = 0")

    def effect(_event: Event, _verdict: Verdict) -> None:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            second.receive("a", 1)

    assert isinstance(first.inbox.receive(event("a", 1), effect), New)
    assert second.receive("a", 1) == Duplicate()
    first.connection.close()
    second.connection.close()


def test_a_replay_under_another_name_takes_effect_again() -> None:
    first = Consumer(":memory:", consumer="mirror")
    first.receive("a", 1)
    again = Inbox(first.connection, consumer="mirror-2026-11")
    assert isinstance(again.receive(event("a", 1), first.effect), New)
    assert first.receive("a", 1) == Duplicate()
    first.connection.close()


MISHAPS = st.lists(st.sampled_from(["in the effect", "before the acknowledgement"]), max_size=3)


@given(st.lists(st.tuples(st.sampled_from("ab"), MISHAPS), max_size=8))
def test_crashes_anywhere_lose_and_repeat_nothing(deliveries: list[tuple[str, list[str]]]) -> None:
    consumer = Consumer(":memory:")
    log: list[tuple[str, int]] = []
    for stream, mishaps in deliveries:
        sequence = sum(stream == earlier for earlier, _ in log) + 1
        log.append((stream, sequence))
        for mishap in mishaps:
            consumer.dies = mishap == "in the effect"
            with suppress(InterruptedError):
                consumer.receive(stream, sequence)
        consumer.dies = False
        consumer.receive(stream, sequence)
    assert consumer.effects() == log
    consumer.connection.close()


def test_progress_outlives_the_program(tmp_path: Path) -> None:
    for _ in range(2):
        consumer = Consumer(tmp_path / "mirror.db")
        consumer.receive("a", 1)
        consumer.connection.close()
    consumer = Consumer(tmp_path / "mirror.db")
    assert consumer.effects() == [("a", 1)]
    assert isinstance(consumer.receive("a", 2), New)
    consumer.connection.close()
