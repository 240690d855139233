"""Shared keys: an append is refused beside a holder that its decision did not know as it is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.contracts.test_event_store_constraints import race, same_log
from tests.store.stores import Opener
from tests.store.support import append, naming, ref

from eatool.domain.landscape import SharedHold
from eatool.store.port import Append, Appended, ConditionFailed, EventStore


def holding(key: str, *beside: tuple[str, int]) -> dict[str, Any]:
    """Constraints of an entity that holds ``key`` beside these others at these versions."""
    known = frozenset((ref(name), version) for name, version in beside)
    return {"shared": frozenset({SharedHold(key, known)})}


ANYWAY: dict[str, Any] = {"shared": frozenset({SharedHold("k")})}


def test_a_holder_that_the_decision_did_not_know_refuses(store: EventStore) -> None:
    store.append(append("a", 0, **holding("k")))
    with pytest.raises(ConditionFailed, match="application/shop/a at version 1 shares 'k'"):
        store.append(append("b", 0, **holding("k")))
    store.append(append("b", 0, **holding("k", ("a", 1))))
    with pytest.raises(ConditionFailed, match="application/shop/b"):
        store.append(append("c", 0, **holding("k", ("a", 1))))


def test_a_holder_that_changed_since_refuses(store: EventStore) -> None:
    store.append(append("a", 0, **holding("k")))
    store.append(append("a", 1, **holding("k")))
    with pytest.raises(ConditionFailed, match="at version 2"):
        store.append(append("b", 0, **holding("k", ("a", 1))))
    store.append(append("b", 0, **holding("k", ("a", 2))))


def test_a_holder_that_was_deleted_and_created_anew_refuses(store: EventStore) -> None:
    store.append(append("a", 0, **holding("k")))
    store.append(append("a", 1, no_referrers=True))
    store.append(append("a", 2, **holding("k")))
    with pytest.raises(ConditionFailed):
        store.append(append("b", 0, **holding("k", ("a", 1))))


@pytest.mark.parametrize("release", [{}, holding("other"), {"no_referrers": True}])
def test_a_change_and_a_deletion_release_it(store: EventStore, release: dict[str, Any]) -> None:
    store.append(append("a", 0, **holding("k")))
    store.append(append("a", 1, **release))
    store.append(append("b", 0, **holding("k")))


def test_other_keys_and_references_are_not_in_the_way(store: EventStore) -> None:
    store.append(append("k", 0), append("a", 0, references=naming("k"), **holding("j")))
    store.append(append("b", 0, **holding("k")))


def test_who_does_not_care_is_refused_by_nobody_but_counts(store: EventStore) -> None:
    store.append(append("a", 0, **holding("k")))
    store.append(append("b", 0, **ANYWAY))
    with pytest.raises(ConditionFailed):
        store.append(append("a", 1, **holding("k")))


def test_a_shared_key_does_not_block_a_deletion(store: EventStore) -> None:
    store.append(append("a", 0, **ANYWAY))
    store.append(append("b", 0, **ANYWAY))
    store.append(append("a", 1, no_referrers=True))


def test_the_same_key_of_one_transaction_and_batch(store: EventStore) -> None:
    pair = (append("a", 0, **holding("k")), append("b", 0, **holding("k")))
    with pytest.raises(ConditionFailed):
        store.append(*pair)
    first, second = store.append_batch([(pair[0],), (pair[1],)])
    assert isinstance(first, Appended)
    assert isinstance(second, ConditionFailed)
    # One leaves in the transaction in which the other one comes.
    store.append(append("a", 1, no_referrers=True), append("b", 0, **holding("k")))


def test_two_new_holders_at_once(open_store: Opener) -> None:
    stores = same_log(open_store, open_store())
    for number in range(10):
        mine = holding(f"k{number}")
        outcomes = race(stores, [append(f"a{number}", 0, **mine), append(f"b{number}", 0, **mine)])
        assert sorted(type(each).__name__ for each in outcomes) == ["Appended", "ConditionFailed"]


def test_two_holders_that_change_at_once(open_store: Opener) -> None:
    first = open_store()
    stores = same_log(open_store, first)
    first.append(append("a", 0, **ANYWAY), append("b", 0, **ANYWAY))
    for _ in range(10):
        a, b = (len(first.read_stream(f"application/shop/{name}")) for name in "ab")
        pair: list[Append] = [
            append("a", a, **holding("k", ("b", b))),
            append("b", b, **holding("k", ("a", a))),
        ]
        outcomes = race(stores, pair)
        assert sorted(type(each).__name__ for each in outcomes) == ["Appended", "ConditionFailed"]
