"""What a change writes in each phase, and what it can never write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.rollout.phased import CAUSE, KIND, Site, make_old_registry, site

from eatool.commands.port import PENDING
from eatool.registry.change import Change
from eatool.registry.outcome import (
    Queued,
    Recorded,
    Refused,
    Unavailable,
    Unchanged,
    WrittenToLegacy,
)
from eatool.rollout.appending import Fenced, RowWrite
from eatool.rollout.phases import Phase
from eatool.store.port import ProjectionFailed, StaleEpoch


@pytest.fixture
async def one(url: str) -> AsyncIterator[Site]:
    make_old_registry(url)
    async with site(url) as opened:
        yield opened


async def test_in_legacy_the_row_alone_is_written(one: Site) -> None:
    outcome = await one.registry.apply(one.change("shop", name="Shop"))
    assert isinstance(outcome, WrittenToLegacy)
    assert outcome.pending is None
    assert one.legacy_side()["shop"]["name"] == "Shop"
    assert one.log_side() == one.read_side() == {}
    again = await one.registry.apply(one.change("shop", name="Shop"))
    assert again == outcome
    refused = await one.registry.apply(one.change("bad", name=""))
    assert isinstance(refused, Refused)
    assert isinstance(await one.registry.delete(one.change("shop")), WrittenToLegacy)
    assert one.legacy_side() == {}


async def test_whoever_has_not_heard_of_a_rollout_yet_cannot_write_around_it(url: str) -> None:
    make_old_registry(url)
    async with site(url, enrolled=False) as one:
        assert isinstance(await one.registry.apply(one.change("before", name="Before")), Recorded)
        one.ledger.enroll(KIND.aggregate_type, CAUSE)
        assert one.view.of(KIND.aggregate_type) is None
        outcome = await one.registry.apply(one.change("after", name="After"))
        assert isinstance(outcome, WrittenToLegacy)
        assert set(one.log_side()) == {"before"}
        assert set(one.legacy_side()) == {"after"}


async def test_entities_of_other_namespaces_are_none_of_a_rollouts_business(one: Site) -> None:
    change = one.change("shop", name="Shop")
    elsewhere = replace(change, ref=KIND.ref("elsewhere", "shop"))
    assert isinstance(await one.registry.apply(elsewhere), Recorded)


async def test_in_dual_write_both_are_written_and_refusals_write_nothing(one: Site) -> None:
    await one.enter(Phase.DUAL_WRITE)
    assert isinstance(await one.registry.apply(one.change("shop", name="Shop")), Recorded)
    assert one.legacy_side() == one.read_side() == one.log_side()
    assert one.legacy_side()["shop"]["name"] == "Shop"
    refused = await one.registry.apply(one.change("shop", name="Shop", parentId="shop"))
    assert isinstance(refused, Refused)
    assert one.legacy_side()["shop"]["parent_id"] is None
    assert isinstance(await one.registry.delete(one.change("shop")), Recorded)
    assert one.legacy_side() == one.read_side() == one.log_side() == {}


async def test_in_dual_write_an_event_failure_keeps_the_row_and_is_made_up_for(one: Site) -> None:
    await one.enter(Phase.DUAL_WRITE)
    one.failing.failures.append(ProjectionFailed("ReadModels: KeyError"))
    outcome = await one.registry.apply(one.change("shop", name="Shop"))
    assert isinstance(outcome, WrittenToLegacy)
    assert outcome.pending == "ReadModels: KeyError"
    assert one.legacy_side()["shop"]["name"] == "Shop"
    assert one.log_side() == {}
    await one.settle()
    assert one.legacy_side() == one.read_side() == one.log_side()
    (created,) = one.store.read_stream("organization/default/shop")
    assert (created.actor, created.metadata["source"]) == ("legacy", "legacy")


async def test_in_projection_only_one_transaction_feeds_the_row(one: Site) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    assert isinstance(await one.registry.apply(one.change("shop", name="Shop")), Recorded)
    assert one.legacy_side() == one.read_side() == one.log_side()
    assert isinstance(await one.registry.delete(one.change("shop")), Recorded)
    assert one.legacy_side() == one.read_side() == one.log_side() == {}


async def test_in_async_commands_a_change_is_queued_and_then_shown(one: Site) -> None:
    await one.enter(Phase.ASYNC_COMMANDS)
    woken: list[str] = []
    one.registry.arrivals.on_wake(lambda refs: woken.extend(ref.name for ref in refs))
    change = one.change("shop", name="Shop")
    queued = await one.registry.apply(change)
    assert isinstance(queued, Queued)
    assert await one.registry.apply(change) == queued
    assert one.log_side() == {}
    running = asyncio.create_task(one.registry.run())
    assert await one.work() == 1
    assert "shop" in one.log_side()
    assert one.read_side() == one.legacy_side() == {}
    async with asyncio.timeout(10):
        while not woken:
            await asyncio.sleep(0.01)
    running.cancel()
    assert woken == ["shop"]
    assert isinstance(await one.registry.apply(change), Unchanged)
    await one.settle()
    assert one.legacy_side() == one.read_side() == one.log_side()


async def test_in_async_commands_the_last_word_is_recorded_last(one: Site) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    await one.registry.apply(one.change("shop", name="First"))
    await one.enter(Phase.ASYNC_COMMANDS)
    assert isinstance(await one.registry.apply(one.change("shop", name="Second")), Queued)
    # Nothing to do against the log, but the queue would undo it.
    assert isinstance(await one.registry.apply(one.change("shop", name="First")), Queued)
    await one.settle()
    assert one.log_side()["shop"]["name"] == "First"


async def test_commands_are_decided_in_whatever_phase_they_meet(one: Site) -> None:
    await one.enter(Phase.ASYNC_COMMANDS)
    assert isinstance(await one.registry.apply(one.change("shop", name="Shop")), Queued)
    await one.enter(Phase.DUAL_WRITE)
    await one.settle()
    assert one.legacy_side()["shop"]["name"] == "Shop"
    assert one.legacy_side() == one.read_side() == one.log_side()


async def test_a_command_that_outlived_its_phases_does_not_undo_newer_rows(one: Site) -> None:
    await one.enter(Phase.ASYNC_COMMANDS)
    assert isinstance(await one.registry.apply(one.change("shop", name="Old")), Queued)
    await one.enter(Phase.LEGACY)
    assert isinstance(await one.registry.apply(one.change("shop", name="New")), WrittenToLegacy)
    assert await one.work() == 1
    assert one.legacy_side()["shop"]["name"] == "New"
    assert one.queue.find(states=PENDING) == []


async def test_an_answer_without_events_does_not_go_through_the_queue(one: Site) -> None:
    await one.enter(Phase.ASYNC_COMMANDS)
    outcome = await one.registry.apply(one.change("shop", name="Shop", parentId="shop"))
    assert isinstance(outcome, Refused)
    assert one.queue.find() == []


async def test_other_namespaces_and_kinds_go_straight_to_the_log(one: Site) -> None:
    ref = KIND.ref("elsewhere", "shop")
    there = Change(ref=ref, uid="uid", spec={"name": "Shop"})
    assert isinstance(await one.registry.apply(there), Recorded)
    assert one.legacy_side() == {}


@pytest.mark.parametrize("phase", [Phase.LEGACY, Phase.DUAL_WRITE, Phase.PROJECTION_ONLY])
async def test_a_process_that_was_cut_off_writes_nothing_under_the_old_phase(
    url: str, phase: Phase
) -> None:
    make_old_registry(url)
    async with site(url) as one, site(url, replica="cut off") as cut_off:
        await one.enter(phase)
        cut_off.view.refresh()
        old = cut_off.view.of(KIND.aggregate_type)
        assert old is not None
        assert phase.next is not None
        await one.enter(phase.next)
        assert cut_off.view.of(KIND.aggregate_type) == old
        change = cut_off.change("shop", name="Shop")
        fenced = Fenced(cut_off.opened.appender, old.fence)
        with pytest.raises(StaleEpoch):
            await cut_off.opened.registry.apply(change, through=fenced)
        spec = KIND.spec.model_validate({"name": "Shop"})
        with pytest.raises(StaleEpoch):
            await cut_off.legacy.write(RowWrite(old.fence, change.ref, spec))
        assert one.log_side() == one.legacy_side() == {}
        # The registry sees it, finds out, and decides anew by the phase that holds.
        await cut_off.registry.apply(change)
        assert cut_off.view.of(KIND.aggregate_type) == one.view.of(KIND.aggregate_type)
        await one.settle()
        assert one.legacy_side() == one.read_side() == one.log_side()
        assert one.log_side()["shop"]["name"] == "Shop"


async def test_while_a_phase_is_prepared_changes_wait_and_those_in_flight_end(url: str) -> None:
    make_old_registry(url)
    async with site(url, patience=0.2) as one:
        standing = one.view.of(KIND.aggregate_type)
        assert standing is not None
        async with one.gate.passing(KIND.aggregate_type):
            begun = one.ledger.begin(KIND.aggregate_type, Phase.DUAL_WRITE, CAUSE)
            assert begun.preparation is not None
            one.view.refresh()
            await one.gate.acknowledge()
            one.view.refresh()
            assert acked(one) == 0  # one is still in flight
            outcome = await one.registry.apply(one.change("shop", name="Shop"))
            assert isinstance(outcome, Unavailable)
        await one.gate.acknowledge()
        one.view.refresh()
        assert acked(one) == begun.preparation.epoch
        waiting = asyncio.create_task(one.registry.apply(one.change("shop", name="Shop")))
        await asyncio.sleep(0.05)
        one.ledger.commit(KIND.aggregate_type, begun.preparation.epoch)
        one.view.refresh()
        assert isinstance(await waiting, Recorded)


def acked(one: Site) -> int:
    (replica,) = one.ledger.replicas(KIND.aggregate_type)
    return replica.acked_epoch
