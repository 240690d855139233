"""Rebuilds from zero as a criterion."""

from __future__ import annotations

from datetime import timedelta

from tests.rollout.phased import CAUSE, KIND, Site, make_old_registry, site

from eatool.rollout import effective
from eatool.rollout.criteria import evaluate
from eatool.rollout.declared import EventSourcingRolloutSpec
from eatool.rollout.looking import Seen
from eatool.rollout.machine import decide
from eatool.rollout.measuring import Figures, Inline
from eatool.rollout.phases import Phase
from eatool.rollout.proofs import Proofs
from eatool.rollout.samples import Samples
from eatool.rollout.status import CriterionStatus
from eatool.store.clock import utc_now

ORGANIZATION = KIND.aggregate_type
WINDOW = timedelta(minutes=5)


async def test_a_kind_is_proved_once_its_table_is_known_to_follow(url: str) -> None:
    make_old_registry(url)
    async with site(url) as one:
        await one.enter(Phase.PROJECTION_ONLY)
        begun = one.ledger.begin(ORGANIZATION, Phase.ASYNC_COMMANDS, CAUSE).preparation
        assert begun is not None
        one.ledger.commit(ORGANIZATION, begun.epoch)
        one.view.refresh()
        await recorded(one)
        proofs = Proofs(one.store, one.view)

        await proofs.once()
        assert proofs.reading(ORGANIZATION, WINDOW) is None

        one.followed.once()
        await proofs.once()
        reading = proofs.reading(ORGANIZATION, WINDOW)
        assert reading is not None
        assert reading.value == 0


async def test_a_read_table_that_the_log_does_not_yield_keeps_the_legacy_table(url: str) -> None:
    make_old_registry(url)
    async with site(url) as one:
        await one.enter(Phase.PROJECTION_ONLY)
        for name in "abc":
            await one.registry.apply(one.change(name, name=name))
        await one.enter(Phase.ASYNC_COMMANDS)
        one.write("UPDATE read_organizations SET name = 'corrupted' WHERE id = 'b'")
        # Nobody sweeps here. And a list of criteria does not speak of rebuilds at all.
        retiring = {"to": "Retired", "soakTime": "0s", "criteria": []}
        spec = EventSourcingRolloutSpec.model_validate(
            {"entityKind": KIND.kind, "targetPhase": "Retired", "transitions": [retiring]}
        )
        proofs, samples = Proofs(one.store, one.view, interval=0.0), Samples()
        Figures(one.store.engine, one.view.of, one.findings, one.queue, Inline()).supply(samples)
        samples.supply("RebuildDifferences", proofs.reading)
        while await one.sweeper.step(ORGANIZATION):
            pass

        def rebuild() -> tuple[str, CriterionStatus]:
            standing = one.view.of(ORGANIZATION)
            assert standing is not None
            step = effective.step(spec, standing.phase)
            assert step is not None
            results = evaluate(step.criteria, ORGANIZATION, samples, None)
            status = decide(spec, None, Seen(utc_now(), standing, criteria=results)).status
            (found,) = (each for each in status.criteria if each.name == "rebuild")
            return status.state, found

        state, found = rebuild()
        assert (state, found.result, found.value) == ("Blocked", "Inconclusive", None)
        await proofs.once()
        state, found = rebuild()
        assert (state, found.result, found.value) == ("Blocked", "Fail", "1")
        assert found.demand == "RebuildDifferences == 0"
        await one.settle()
        await proofs.once()
        state, found = rebuild()
        assert (state, found.result, found.value) == ("AwaitingApproval", "Pass", "0")


async def recorded(one: Site) -> None:
    """An event that no table has yet."""
    await one.registry.apply(one.change("shop", name="Shop"))
    assert await one.work() == 1
