"""Batches that are written part by part: every outcome is its caller's own, wherever it stands."""

from __future__ import annotations

import dataclasses

import pytest
from tests.store.support import append

from eatool.store.port import Append, Appended, WrongExpectedVersion
from eatool.store.sql.log import SqlEventStore
from eatool.store.verify import verify_chain


def _batch(count: int) -> list[tuple[Append, ...]]:
    return [(append(f"s{number}", 0, count=1 + number % 3),) for number in range(count)]


@pytest.mark.parametrize("count", [7, 8, 16, 17, 100])
def test_outcomes_are_in_the_order_of_the_batch(log: SqlEventStore, count: int) -> None:
    batch = _batch(count)
    outcomes = log.append_batch(batch)
    for (sent,), outcome in zip(batch, outcomes, strict=True):
        assert isinstance(outcome, Appended)
        assert [each.event_id for each in outcome.events] == [each.event_id for each in sent.events]
    recorded = [event for each in outcomes if isinstance(each, Appended) for event in each.events]
    assert log.read_all() == recorded
    assert verify_chain(log).sound


def test_repeats_of_all_kinds_among_new_appends(log: SqlEventStore) -> None:
    first = log.append(old := append("old", 0))
    decided_anew = dataclasses.replace(old, expected_version=1)
    batch = _batch(30)
    batch[3:3] = [(old,)]
    batch[20:20] = [(decided_anew,)]
    batch.append(batch[0])
    outcomes = log.append_batch(batch)
    appended = [each for each in outcomes if isinstance(each, Appended)]
    assert len(appended) == len(batch)
    repeats = [each.events for each in appended if each.repeated]
    assert repeats == [first.events, first.events, appended[0].events]
    assert log.head().position == 1 + sum(len(each.events) for (each,) in _batch(30))
    assert verify_chain(log).sound


def test_a_batch_of_which_nothing_is_accepted(log: SqlEventStore) -> None:
    outcomes = log.append_batch([(append(f"s{number}", 1),) for number in range(40)])
    assert {type(each) for each in outcomes} == {WrongExpectedVersion}
    assert log.head().position == 0
    assert isinstance(log.append(append("s0", 0)), Appended)
