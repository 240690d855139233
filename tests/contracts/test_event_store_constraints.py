"""Constraints decided under the log's lock, with the races they exist for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.store.stores import Opener
from tests.store.support import append, event, keys, naming, refs

from eatool.domain.landscape import Constraints
from eatool.store.port import (
    Append,
    Appended,
    AppendRefused,
    ConditionFailed,
    EventStore,
    KeyTaken,
    ReferenceGone,
    StillReferenced,
    StoreError,
)


def race(stores: list[EventStore], appends: list[Append]) -> list[Appended | StoreError]:
    """Append at the same time, each from a thread and a store of its own."""

    def attempt(store: EventStore, new: Append) -> Appended | StoreError:
        try:
            return store.append(new)
        except AppendRefused as refusal:
            return refusal

    with ThreadPoolExecutor(len(appends)) as pool:
        return list(pool.map(attempt, stores, appends))


def test_a_unique_key_has_one_holder(store: EventStore) -> None:
    store.append(append("a", 0, keys=keys("shop/name/webshop")))
    with pytest.raises(KeyTaken) as caught:
        store.append(append("b", 0, keys=keys("shop/name/webshop")))
    assert (caught.value.key, caught.value.holder) == ("shop/name/webshop", "application/shop/a")


def test_the_holder_keeps_its_key(store: EventStore) -> None:
    store.append(append("a", 0, keys=keys("k")))
    store.append(append("a", 1, keys=keys("k", "l")))
    with pytest.raises(KeyTaken):
        store.append(append("b", 0, keys=keys("l")))


@pytest.mark.parametrize("release", [{"keys": keys("other")}, {}, {"no_referrers": True}])
def test_a_key_is_released_by_a_change_and_by_a_deletion(
    store: EventStore, release: dict[str, Any]
) -> None:
    store.append(append("a", 0, keys=keys("k")))
    store.append(append("a", 1, **release))
    store.append(append("b", 0, keys=keys("k")))
    with pytest.raises(KeyTaken):
        store.append(append("a", 2, keys=keys("k")))


def test_keys_are_swapped_in_one_transaction(store: EventStore) -> None:
    store.append(append("a", 0, keys=keys("k")), append("b", 0, keys=keys("l")))
    store.append(append("a", 1, keys=keys("l")), append("b", 1, keys=keys("k")))
    with pytest.raises(KeyTaken) as caught:
        store.append(append("c", 0, keys=keys("k")))
    assert caught.value.holder == "application/shop/b"


def test_one_key_twice_in_a_transaction_or_batch(store: EventStore) -> None:
    twice = (append("a", 0, keys=keys("k")), append("b", 0, keys=keys("k")))
    with pytest.raises(KeyTaken):
        store.append(*twice)
    first, second = store.append_batch([(twice[0],), (twice[1],)])
    assert isinstance(first, Appended)
    assert isinstance(second, KeyTaken)


def test_a_hard_reference_must_be_alive(store: EventStore) -> None:
    needs_b = append("a", 0, requires_alive=refs("b"), references=naming("b"))
    with pytest.raises(ReferenceGone):
        store.append(needs_b)
    store.append(append("b", 0))
    store.append(needs_b)
    store.append(append("c", 0))
    store.append(append("c", 1, no_referrers=True))
    with pytest.raises(ReferenceGone):
        store.append(append("a", 1, requires_alive=refs("c")))


def test_entities_that_name_each_other_come_and_go_together(store: EventStore) -> None:
    store.append(
        append("a", 0, requires_alive=refs("b"), references=naming("b")),
        append("b", 0, requires_alive=refs("a"), references=naming("a")),
    )
    with pytest.raises(StillReferenced):
        store.append(append("a", 1, no_referrers=True))
    store.append(append("a", 1, no_referrers=True), append("b", 1, no_referrers=True))


@pytest.mark.parametrize("hard", [True, False])
def test_a_named_entity_is_not_deleted(store: EventStore, hard: bool) -> None:
    store.append(append("b", 0))
    store.append(append("a", 0, references=naming("b", hard=hard)))
    with pytest.raises(StillReferenced):
        store.append(append("b", 1, no_referrers=True))
    store.append(append("b", 1, no_referrers=True, ignoring=refs("a")))


@pytest.mark.parametrize("release", [{}, {"references": naming("c")}, {"no_referrers": True}])
def test_a_reference_is_dropped_by_a_change_and_by_a_deletion(
    store: EventStore, release: dict[str, Any]
) -> None:
    store.append(append("b", 0), append("a", 0, references=naming("b")))
    store.append(append("a", 1, **release))
    store.append(append("b", 1, no_referrers=True))


def test_naming_oneself_does_not_block(store: EventStore) -> None:
    store.append(append("a", 0, references=naming("a")))
    store.append(append("a", 1, no_referrers=True))


def test_a_deletion_sees_references_of_the_same_batch(store: EventStore) -> None:
    store.append(append("b", 0))
    outcomes = store.append_batch(
        [(append("a", 0, references=naming("b")),), (append("b", 1, no_referrers=True),)]
    )
    assert [type(each) for each in outcomes] == [Appended, StillReferenced]


def test_versions_go_on_after_a_deletion(store: EventStore) -> None:
    store.append(append("a", 0, keys=keys("k")))
    store.append(append("a", 1, no_referrers=True))
    with pytest.raises(ReferenceGone):
        store.append(append("b", 0, requires_alive=refs("a")))
    store.append(append("a", 2, keys=keys("k")))
    store.append(append("b", 0, requires_alive=refs("a")))


def move(name: str, version: int, decided_at: int) -> Append:
    return Append(
        f"organization/shop/{name}",
        version,
        (event("OrganizationMoved.v1"),),
        Constraints(no_events_since=frozenset({("organization/shop", "OrganizationMoved.")})),
        decided_at,
    )


def test_an_event_since_the_decision_refuses(store: EventStore) -> None:
    start = store.append(move("a", 0, 0)).events[0].position
    store.append(move("b", 0, start))
    with pytest.raises(ConditionFailed):
        store.append(move("c", 0, start))
    store.append(move("c", 0, store.head().position))


def test_other_types_and_categories_do_not_count(store: EventStore) -> None:
    store.append(append("organization/shop/x", 0, type_="OrganizationUpdated.v1"))
    store.append(append("organization/other/x", 0, type_="OrganizationMoved.v1"))
    store.append(append("organization/shop2/x", 0, type_="OrganizationMoved.v1"))
    store.append(move("a", 0, 0))


def test_a_condition_sees_its_batch(store: EventStore) -> None:
    outcomes = store.append_batch([(move("a", 0, 0),), (move("b", 0, 0),)])
    assert [type(each) for each in outcomes] == [Appended, ConditionFailed]


def test_two_moves_at_once_cannot_close_a_loop(open_store: Opener) -> None:
    first = open_store()
    stores = same_log(open_store, first)
    for number in range(10):
        since = first.head().position
        pair = [move("a", number_of(first, "a"), since), move("b", number_of(first, "b"), since)]
        outcomes = race(stores, pair)
        assert sorted(type(each).__name__ for each in outcomes) == [
            "Appended",
            "ConditionFailed",
        ], number


def test_a_reference_and_a_deletion_at_once(open_store: Opener) -> None:
    first = open_store()
    stores = same_log(open_store, first)
    for number in range(10):
        target, source = f"t{number}", f"s{number}"
        first.append(append(target, 0))
        outcomes = race(
            stores,
            [
                append(source, 0, requires_alive=refs(target), references=naming(target)),
                append(target, 1, no_referrers=True),
            ],
        )
        kinds = [type(each) for each in outcomes]
        assert kinds in ([Appended, StillReferenced], [ReferenceGone, Appended])


def test_two_claims_of_a_key_at_once(open_store: Opener) -> None:
    stores = same_log(open_store, open_store())
    for number in range(10):
        key = keys(f"k{number}")
        outcomes = race(
            stores, [append(f"a{number}", 0, keys=key), append(f"b{number}", 0, keys=key)]
        )
        assert sorted(type(each).__name__ for each in outcomes) == ["Appended", "KeyTaken"]


def same_log(open_store: Opener, first: EventStore) -> list[EventStore]:
    """Two stores on one log; the in-memory log has only itself."""
    other = open_store()
    other_sees = other.head().position == first.head().position
    first.append(append("probe/shop/p", 0))
    shared = other_sees and other.head().position == first.head().position
    return [first, other] if shared else [first, first]


def number_of(store: EventStore, name: str) -> int:
    return len(store.read_stream(f"organization/shop/{name}"))


def test_a_decision_too_far_behind_is_refused(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eatool.store.arbiter.LOOKBACK", 3)
    for version in range(4):
        store.append(append("a", version))
    with pytest.raises(ConditionFailed):
        store.append(move("x", 0, 0))
    store.append(move("x", 0, 1))


def test_a_deletion_releases_the_keys_it_names_within_its_transaction(store: EventStore) -> None:
    store.append(append("a", 0, keys=keys("k")))
    store.append(append("a", 1, keys=keys("k"), no_referrers=True), append("b", 0, keys=keys("k")))
    with pytest.raises(KeyTaken) as caught:
        store.append(append("c", 0, keys=keys("k")))
    assert caught.value.holder == "application/shop/b"
