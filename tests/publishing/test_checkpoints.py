"""The contract of checkpoints, on memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.store.stores import ADAPTERS, database_url

from eatool.publishing.checkpoints import Checkpoints, Cursor, ParkedStream, fair_share
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.store.port import PARTITIONS
from eatool.store.sql.engine import open_engine


class Clock:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=ADAPTERS)
def checkpoints(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> Iterator[Checkpoints]:
    if request.param == "memory":
        yield MemoryCheckpoints(clock)
        return
    engine = open_engine(database_url(request.param, tmp_path, request))
    yield SqlCheckpoints(engine, clock=clock)
    engine.dispose()


def parked(stream_id: str = "application/shop/a", partition: int = 5) -> ParkedStream:
    time = datetime(2026, 1, 2, tzinfo=UTC)
    return ParkedStream(stream_id, partition, 10, 2, "refused", 3, time)


def test_first_claim_makes_all_cursors(checkpoints: Checkpoints) -> None:
    claim = checkpoints.claim("mqtt", "a", lease=15, start=42)
    assert sorted(claim.held, key=lambda cursor: cursor.partition) == [
        Cursor(partition, 42, 1) for partition in range(PARTITIONS)
    ]
    assert claim.excess == 0
    assert checkpoints.destinations() == ["mqtt"]
    assert {cursor.owner for cursor in checkpoints.cursors("mqtt")} == {"a"}
    assert checkpoints.cursors("other") == []


def test_destinations_do_not_share_anything(checkpoints: Checkpoints) -> None:
    checkpoints.claim("one", "a", lease=15)
    claim = checkpoints.claim("two", "b", lease=15, start=7)
    assert len(claim.held) == PARTITIONS
    assert checkpoints.save("two", "b", [Cursor(0, 9, 1)]) == frozenset()
    assert checkpoints.cursors("one")[0].position == 0


def test_renewing_keeps_the_epoch(checkpoints: Checkpoints, clock: Clock) -> None:
    checkpoints.claim("mqtt", "a", lease=15)
    clock.pass_(10)
    checkpoints.claim("mqtt", "a", lease=15)
    clock.pass_(10)
    assert {cursor.epoch for cursor in checkpoints.claim("mqtt", "a", lease=15).held} == {1}


def test_newcomer_gets_half_when_it_is_given_back(checkpoints: Checkpoints) -> None:
    checkpoints.claim("mqtt", "a", lease=15)
    assert checkpoints.claim("mqtt", "b", lease=15).held == ()
    assert checkpoints.claim("mqtt", "a", lease=15).excess == PARTITIONS // 2
    checkpoints.release("mqtt", "a", range(32, PARTITIONS))
    taken = checkpoints.claim("mqtt", "b", lease=15)
    assert {cursor.partition for cursor in taken.held} == set(range(32, PARTITIONS))
    assert {cursor.epoch for cursor in taken.held} == {2}
    assert checkpoints.claim("mqtt", "a", lease=15).excess == 0


def test_dead_owner_is_replaced_after_its_lease(checkpoints: Checkpoints, clock: Clock) -> None:
    checkpoints.claim("mqtt", "dead", lease=15)
    clock.pass_(16)
    claim = checkpoints.claim("mqtt", "next", lease=15)
    assert len(claim.held) == PARTITIONS
    assert claim.excess == 0


def test_leaving_frees_everything_at_once(checkpoints: Checkpoints) -> None:
    checkpoints.claim("mqtt", "a", lease=15)
    checkpoints.leave("mqtt", "a")
    assert len(checkpoints.claim("mqtt", "b", lease=15).held) == PARTITIONS


def test_saves_only_move_forward(checkpoints: Checkpoints) -> None:
    checkpoints.claim("mqtt", "a", lease=15)
    assert checkpoints.save("mqtt", "a", [Cursor(0, 10, 1), Cursor(1, 20, 1)]) == frozenset()
    assert checkpoints.save("mqtt", "a", [Cursor(0, 5, 1)]) == frozenset()
    assert checkpoints.save("mqtt", "a", []) == frozenset()
    assert [cursor.position for cursor in checkpoints.cursors("mqtt")[:3]] == [10, 20, 0]


def test_a_count_goes_with_its_position_and_on_with_the_next_owner(
    checkpoints: Checkpoints, clock: Clock
) -> None:
    checkpoints.claim("mqtt", "a", lease=15)
    checkpoints.save("mqtt", "a", [Cursor(0, 10, 1, sent=4)])
    checkpoints.save("mqtt", "a", [Cursor(0, 10, 1, sent=5)])
    assert [cursor.sent for cursor in checkpoints.cursors("mqtt")[:2]] == [4, 0]
    assert checkpoints.claim("mqtt", "a", lease=15).held[0] == Cursor(0, 10, 1, sent=4)
    clock.pass_(16)
    assert checkpoints.claim("mqtt", "next", lease=15).held[0] == Cursor(0, 10, 2, sent=4)


def test_late_writes_of_a_paused_owner_are_refused(checkpoints: Checkpoints, clock: Clock) -> None:
    checkpoints.claim("mqtt", "paused", lease=15)
    clock.pass_(16)
    checkpoints.claim("mqtt", "next", lease=15)
    assert checkpoints.save("mqtt", "paused", [Cursor(0, 99, 1), Cursor(1, 99, 1)]) == {0, 1}
    assert not checkpoints.park("mqtt", "paused", 1, parked())
    assert checkpoints.park("mqtt", "next", 2, parked())
    assert not checkpoints.unpark("mqtt", "paused", 1, parked())
    assert {cursor.position for cursor in checkpoints.cursors("mqtt")} == {0}
    assert checkpoints.parked("mqtt") == [parked()]


def test_parked_streams_come_and_go(checkpoints: Checkpoints) -> None:
    checkpoints.claim("mqtt", "a", lease=15)
    other = parked("server/shop/b", 6)
    assert checkpoints.park("mqtt", "a", 1, parked())
    assert checkpoints.park("mqtt", "a", 1, other)
    assert checkpoints.parked("mqtt", [6]) == [other]
    assert checkpoints.parked("elsewhere") == []
    assert checkpoints.request_resend("mqtt", "server/shop/b")
    assert not checkpoints.request_resend("mqtt", "server/shop/c")
    assert [each.resend_requested for each in checkpoints.parked("mqtt")] == [False, True]
    assert checkpoints.park("mqtt", "a", 1, other)
    assert not any(each.resend_requested for each in checkpoints.parked("mqtt"))
    assert checkpoints.unpark("mqtt", "a", 1, other)
    assert checkpoints.parked("mqtt") == [parked()]


@pytest.mark.parametrize("members", [1, 2, 3, 5, 64, 70])
def test_fair_shares_make_up_the_whole(members: int) -> None:
    names = [f"relay-{number}" for number in range(members)]
    shares = [fair_share(name, names) for name in names]
    assert sum(shares) == PARTITIONS
    assert max(shares) - min(shares) <= 1
