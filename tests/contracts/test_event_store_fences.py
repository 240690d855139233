"""Fences: who was decided for under an old epoch does not write, and harms no neighbour."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.contracts.test_event_store_constraints import same_log
from tests.store.stores import Opener
from tests.store.support import append

from eatool.store.port import (
    Append,
    Appended,
    AppendRefused,
    EventStore,
    Fence,
    StaleEpoch,
    Transaction,
    WrongExpectedVersion,
)


def fenced(stream: str, version: int, epoch: int, moves_to: int | None = None) -> Append:
    return replace(append(stream, version), fence=Fence("phase", epoch, moves_to))


def test_a_fence_that_never_moved_is_at_epoch_0(store: EventStore) -> None:
    store.append(fenced("a", 0, 0))
    with pytest.raises(StaleEpoch, match="phase: decided under epoch 1, the fence is at 0"):
        store.append(fenced("a", 1, 1))


def test_appends_under_an_older_epoch_are_refused(store: EventStore) -> None:
    store.append(fenced("a", 0, 0, moves_to=3))
    for epoch in (0, 2, 4):
        with pytest.raises(StaleEpoch) as refused:
            store.append(fenced("a", 1, epoch))
        assert (refused.value.epoch, refused.value.actual) == (epoch, 3)
    store.append(fenced("a", 1, 3))
    assert [each.version for each in store.read_stream("application/shop/a")] == [1, 2]


def test_a_stale_epoch_is_no_refusal_that_deciding_anew_could_heal() -> None:
    assert not issubclass(StaleEpoch, AppendRefused)


def test_no_neighbour_of_the_batch_is_harmed(store: EventStore) -> None:
    store.append(fenced("a", 0, 0, moves_to=1))
    outcomes = store.append_batch(
        [
            (append("b", 0),),
            (fenced("c", 0, 0),),
            (fenced("d", 0, 1),),
            (append("e", 0), fenced("f", 0, 0)),
            (append("g", 0),),
        ]
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Appended, StaleEpoch, Appended, StaleEpoch, Appended]
    written = [event.stream_id[-1] for event in store.read_all()]
    assert written == ["a", "b", "d", "g"]


def test_a_large_batch_is_checked_too(store: EventStore) -> None:
    """Parts of it are written while others are being decided."""
    store.append(fenced("a", 0, 0, moves_to=1))
    outcomes = store.append_batch([(fenced(f"s{n}", 0, n % 2),) for n in range(100)])
    assert [isinstance(outcome, Appended) for outcome in outcomes] == [False, True] * 50
    assert len(store.read_all()) == 51


def test_a_fence_moves_for_what_follows_in_its_own_batch(store: EventStore) -> None:
    outcomes = store.append_batch(
        [(fenced("a", 0, 0),), (fenced("b", 0, 0, moves_to=1),), (fenced("c", 0, 0),)]
    )
    assert [type(outcome) for outcome in outcomes] == [Appended, Appended, StaleEpoch]


def test_a_refused_append_moves_nothing(store: EventStore) -> None:
    with pytest.raises(WrongExpectedVersion):
        store.append(fenced("a", 7, 0, moves_to=1))
    store.append(fenced("a", 0, 0))


def test_fences_are_independent(store: EventStore) -> None:
    store.append(fenced("a", 0, 0, moves_to=1))
    store.append(replace(append("b", 0), fence=Fence("other", 0)))


def test_what_was_recorded_before_the_move_is_recognised_after_it(store: EventStore) -> None:
    """A retry after a lost acknowledgement must hear that it had succeeded."""
    first = fenced("a", 0, 0)
    store.append(first)
    store.append(fenced("b", 0, 0, moves_to=1))
    assert store.append(first).repeated


def test_a_move_is_seen_by_every_store_on_the_log(open_store: Opener, store: EventStore) -> None:
    ours, others = same_log(open_store, store)
    ours.append(fenced("a", 0, 0))
    others.append(fenced("b", 0, 0, moves_to=1))
    with pytest.raises(StaleEpoch):
        ours.append(fenced("a", 1, 0))
    ours.append(fenced("a", 1, 1))
    ours.append(fenced("a", 2, 1))


def test_of_two_that_move_it_at_once_one_wins(open_store: Opener, store: EventStore) -> None:
    stores = same_log(open_store, store)
    moves: list[list[Transaction]] = [[(fenced(name, 0, 0, moves_to=1),)] for name in ("a", "b")]
    with ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(lambda store, batch: store.append_batch(batch)[0], stores, moves)
        assert {type(outcome) for outcome in outcomes} == {Appended, StaleEpoch}


@pytest.mark.parametrize("to", [0, 3, 4])
def test_a_fence_never_moves_back(to: int) -> None:
    with pytest.raises(ValueError, match="does not come after"):
        Fence("phase", 4, moves_to=to)
