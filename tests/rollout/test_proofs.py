"""Rebuilds from zero as a criterion."""

from __future__ import annotations

from datetime import timedelta

from tests.rollout.phased import CAUSE, KIND, Site, make_old_registry, site

from eatool.rollout.phases import Phase
from eatool.rollout.proofs import Proofs

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


async def recorded(one: Site) -> None:
    """An event that no table has yet."""
    await one.registry.apply(one.change("shop", name="Shop"))
    assert await one.work() == 1
