"""Waiting entities are woken once, by what they wait for, and never missed."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from tests.registry.sites import ref

from eatool.domain.identity import EntityRef
from eatool.registry.arrivals import Arrivals

A, B, C = (ref("Application", name) for name in "abc")


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
    assert arrivals.changed(C) == {A, B}
    assert arrivals.changed(C) == set()
    assert woken == [{A, B}]


def test_a_change_between_ticket_and_registration_wakes_at_once(
    arrivals: Arrivals, woken: list[set[EntityRef]]
) -> None:
    ticket = arrivals.ticket()
    arrivals.changed(C)
    arrivals.wait(A, {B, C}, since=ticket)
    assert woken == [{A}]
    assert arrivals.waiting() == 0


def test_a_change_before_the_ticket_does_not_wake(
    arrivals: Arrivals, woken: list[set[EntityRef]]
) -> None:
    arrivals.changed(C)
    arrivals.wait(A, {C}, since=arrivals.ticket())
    assert woken == []


def test_a_ticket_older_than_what_is_remembered_wakes_to_be_safe(
    arrivals: Arrivals, woken: list[set[EntityRef]]
) -> None:
    ticket = arrivals.ticket()
    for name in ("x", "y", "z"):
        arrivals.changed(ref("Server", name))
    arrivals.wait(A, {C}, since=ticket)
    assert woken == [{A}]


def test_a_new_wait_replaces_the_old_one(arrivals: Arrivals) -> None:
    arrivals.wait(A, {B}, since=arrivals.ticket())
    arrivals.wait(A, {C}, since=arrivals.ticket())
    assert arrivals.changed(B) == set()
    assert arrivals.changed(C) == {A}


def test_nobody_waits_for_itself_or_nothing(arrivals: Arrivals) -> None:
    arrivals.wait(A, {A}, since=arrivals.ticket())
    arrivals.wait(B, set(), since=arrivals.ticket())
    assert arrivals.waiting() == 0


def test_a_forgotten_waiter_is_not_woken(arrivals: Arrivals) -> None:
    arrivals.wait(A, {B, C}, since=arrivals.ticket())
    arrivals.forget(A)
    assert arrivals.changed(B, C) == set()


def test_unsubscribed_listeners_hear_nothing() -> None:
    hub = Arrivals()
    heard: list[Collection[EntityRef]] = []
    unsubscribe = hub.on_wake(heard.append)
    hub.wait(A, {B}, since=hub.ticket())
    unsubscribe()
    hub.changed(B)
    assert heard == []
