"""Waiting and following entities are woken once, by what concerns them, and never missed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest
from tests.registry.sites import ref

from eatool.domain.identity import EntityRef
from eatool.domain.landscape import Fact
from eatool.registry.arrivals import Arrivals
from eatool.store.port import RecordedEvent

A, B, C = (ref("Application", name) for name in "abc")
_positions = count(1)


def event(entity: EntityRef, *fields: str) -> RecordedEvent:
    """An event that changes these fields, at the next position."""
    return RecordedEvent(
        position=next(_positions),
        stream_id=entity.stream_id,
        version=1,
        event_id=UUID(int=0),
        type="ApplicationUpdated.v1",
        data={"entity": {}, "changes": {name: {"old": 1, "new": 2} for name in fields}},
        metadata={},
        actor="test",
        correlation_id=None,
        causation_id=None,
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        partition=0,
        previous_hash=b"",
        hash=b"",
    )


def changed(arrivals: Arrivals, *entities: EntityRef) -> set[EntityRef]:
    return arrivals.recorded([event(entity, "name") for entity in entities])


@pytest.fixture
def woken() -> list[set[EntityRef]]:
    return []


@pytest.fixture
def arrivals(woken: list[set[EntityRef]]) -> Arrivals:
    hub = Arrivals(remembered=2)

    def wake(refs: Collection[EntityRef]) -> None:
        woken.append(set(refs))

    hub.on_wake(wake)
    return hub


def test_a_change_wakes_its_waiters_once(arrivals: Arrivals, woken: list[set[EntityRef]]) -> None:
    arrivals.wait(A, {C}, since=arrivals.ticket())
    arrivals.wait(B, {C}, since=arrivals.ticket())
    assert changed(arrivals, C) == {A, B}
    assert changed(arrivals, C) == set()
    assert woken == [{A, B}]


def test_a_change_between_ticket_and_registration_wakes_at_once(
    arrivals: Arrivals, woken: list[set[EntityRef]]
) -> None:
    ticket = arrivals.ticket()
    changed(arrivals, C)
    arrivals.wait(A, {B, C}, since=ticket)
    assert woken == [{A}]
    assert arrivals.waiting() == 0


def test_a_change_before_the_ticket_does_not_wake(
    arrivals: Arrivals, woken: list[set[EntityRef]]
) -> None:
    changed(arrivals, C)
    arrivals.wait(A, {C}, since=arrivals.ticket())
    assert woken == []


def test_a_ticket_older_than_what_is_remembered_wakes_to_be_safe(
    arrivals: Arrivals, woken: list[set[EntityRef]]
) -> None:
    ticket = arrivals.ticket()
    for name in ("x", "y", "z"):
        changed(arrivals, ref("Server", name))
    arrivals.wait(A, {C}, since=ticket)
    assert woken == [{A}]


def test_a_new_wait_replaces_the_old_one(arrivals: Arrivals) -> None:
    arrivals.wait(A, {B}, since=arrivals.ticket())
    arrivals.wait(A, {C}, since=arrivals.ticket())
    assert changed(arrivals, B) == set()
    assert changed(arrivals, C) == {A}


def test_nobody_waits_for_itself_or_nothing(arrivals: Arrivals) -> None:
    arrivals.wait(A, {A}, since=arrivals.ticket())
    arrivals.wait(B, set(), since=arrivals.ticket())
    assert arrivals.waiting() == 0


def test_who_follows_waits_no_more(arrivals: Arrivals) -> None:
    arrivals.wait(A, {B, C}, since=arrivals.ticket())
    arrivals.follow(A, (), since=arrivals.ticket())
    assert changed(arrivals, B, C) == set()
    assert arrivals.waiting() == 0


def test_a_follower_is_woken_by_its_field_only(
    arrivals: Arrivals, woken: list[set[EntityRef]]
) -> None:
    arrivals.follow(A, [Fact(C, "lifecycle")], since=arrivals.ticket())
    arrivals.follow(B, [Fact(C, "owner")], since=arrivals.ticket())
    assert list(arrivals.pairs()) == []
    assert arrivals.recorded([event(C, "name", "tags"), event(B, "lifecycle")]) == set()
    assert arrivals.recorded([event(C, "name", "lifecycle")]) == {A}
    assert arrivals.recorded([event(C, "lifecycle")]) == set(), "it follows no longer"
    assert woken == [{A}]


def test_a_deletion_wakes_every_follower(arrivals: Arrivals) -> None:
    arrivals.follow(A, [Fact(C, "lifecycle"), Fact(B, "owner")], since=arrivals.ticket())
    assert arrivals.recorded([event(C)]) == {A}


def test_a_field_that_changes_between_ticket_and_registration_wakes_at_once(
    arrivals: Arrivals, woken: list[set[EntityRef]]
) -> None:
    ticket = arrivals.ticket()
    arrivals.recorded([event(C, "lifecycle")])
    arrivals.follow(A, [Fact(C, "lifecycle")], since=ticket)
    assert woken == [{A}]


def test_an_event_that_is_told_twice_counts_once(
    arrivals: Arrivals, woken: list[set[EntityRef]]
) -> None:
    """By who recorded it, and by who tails the log; an older one told later still counts."""
    older, newer = event(C, "lifecycle"), event(C, "owner")
    for each, field in ((newer, "owner"), (newer, "owner"), (older, "lifecycle")):
        arrivals.follow(A, [Fact(C, field)], since=arrivals.ticket())
        arrivals.recorded([each])
    assert woken == [{A}, {A}]


def test_unsubscribed_listeners_hear_nothing() -> None:
    hub = Arrivals()
    heard: list[Collection[EntityRef]] = []
    unsubscribe = hub.on_wake(heard.append)
    hub.wait(A, {B}, since=hub.ticket())
    unsubscribe()
    changed(hub, B)
    assert heard == []
