"""Tables that follow the log: inline, later, late and twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import event
from tests.rollout.phased import Site, make_old_registry, site

from eatool.registry.outcome import Queued, Recorded
from eatool.rollout.feed import FollowedByPhase, InlineByPhase
from eatool.rollout.phases import Phase
from eatool.store.port import StaleEpoch


@pytest.fixture
async def one(url: str) -> AsyncIterator[Site]:
    make_old_registry(url)
    async with site(url) as opened:
        yield opened


async def test_old_events_never_overwrite_newer_rows(one: Site) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    await one.registry.apply(one.change("shop", name="First"))
    await one.registry.apply(one.change("shop", name="Second"))
    events = [each for each in one.store.read_all() if each.stream_id.startswith("organization/")]
    sides = one.legacy_side(), one.read_side()
    for late in (events[:1], events, events[:1]):
        with one.store.transaction() as connection:
            FollowedByPhase(one.view, "default").apply(connection, late)
        assert (one.legacy_side(), one.read_side()) == sides
    assert one.legacy_side()["shop"]["name"] == "Second"


async def test_a_follower_that_was_cut_off_feeds_nothing(one: Site) -> None:
    await one.enter(Phase.ASYNC_COMMANDS)
    assert isinstance(await one.registry.apply(one.change("shop", name="Shop")), Queued)
    await one.work()
    frozen = FrozenStandings(one)
    await one.enter(Phase.DUAL_WRITE)
    one.rename("shop", "Direct")
    events = [each for each in one.store.read_all() if each.stream_id.startswith("organization/")]
    with pytest.raises(StaleEpoch), one.store.transaction() as connection:
        FollowedByPhase(frozen, "default").apply(connection, events)
    assert one.legacy_side()["shop"]["name"] == "Direct"


async def test_the_way_back_from_async_leaves_no_event_behind(one: Site) -> None:
    await one.enter(Phase.ASYNC_COMMANDS)
    for name in ("a", "b", "c"):
        assert isinstance(await one.registry.apply(one.change(name, name=name)), Queued)
    await one.work()
    assert one.read_side() == {}
    await one.enter(Phase.PROJECTION_ONLY)
    assert one.read_side() == one.legacy_side() == one.log_side()
    one.followed.once()
    assert one.follower.lag() == {}
    assert isinstance(await one.registry.apply(one.change("a", name="again")), Recorded)
    assert one.read_side() == one.legacy_side() == one.log_side()


async def test_kinds_that_are_not_fed_cost_no_statement(one: Site) -> None:
    await one.enter(Phase.DUAL_WRITE)
    await one.registry.apply(one.change("shop", name="Shop"))
    events = one.store.read_all()
    statements: list[str] = []

    @event.listens_for(one.store.engine, "before_cursor_execute")
    def count(*arguments: Any) -> None:
        statements.append(arguments[2])

    with one.store.transaction() as connection:
        InlineByPhase(one.view, "default").apply(connection, events)
    others = [each for each in statements if "read_organizations" not in each]
    assert [each for each in others if not each.startswith("BEGIN")] == []


class FrozenStandings:
    """What a process knew when it was cut off."""

    def __init__(self, one: Site) -> None:
        self._standings = dict(one.view.all())

    def of(self, aggregate_type: str) -> Any:
        return self._standings.get(aggregate_type)

    def all(self) -> Any:
        return self._standings
