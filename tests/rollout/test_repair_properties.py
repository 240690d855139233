"""Whatever happens in whatever order, all three sides agree in the end, to the last field."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.rollout.phased import KIND, Site, make_old_registry, site
from tests.store.stores import database_url

from eatool.registry.change import Change
from eatool.rollout.phases import Phase
from eatool.store.port import ProjectionFailed, StoreUnavailable

ORGANIZATION = KIND.aggregate_type
#: Between these the rollout walks to and fro.
PHASES = [Phase.LEGACY, Phase.DUAL_WRITE, Phase.PROJECTION_ONLY, Phase.ASYNC_COMMANDS]
NAMES = ["ada", "bob", "cleo", "dan", "eve"]


class Life:
    """One registry and everybody who works on it, driven by one source of chance."""

    def __init__(self, one: Site, other: Site, chance: random.Random) -> None:
        self.one, self.other, self.chance = one, other, chance
        self.told: list[str] = []
        self.incarnations: Counter[str] = Counter()
        self.acts: list[Callable[[], Awaitable[object]]] = [
            self.declare,
            self.declare,
            self.end,
            self.write_directly,
            self.write_directly,
            self.delete_directly,
            self.fail_next,
            self.work,
            self.follow,
            self.verify,
            self.sweep,
            self.move,
        ]

    async def step(self) -> None:
        """One act, or several at the same time."""
        together = self.chance.choices(self.acts, k=self.chance.choice([1, 1, 1, 2, 3]))
        if together.count(self.move) > 1:  # there is one machine
            together = [self.move]
        self.told.append(f"{' + '.join(act.__name__ for act in together)} in {self.phase}")
        await asyncio.gather(*(act() for act in together))

    @property
    def phase(self) -> Phase:
        return self.one.ledger.standings()[ORGANIZATION].phase

    @property
    def name(self) -> str:
        return self.chance.choice(NAMES)

    @property
    def title(self) -> str:
        return f"Title {self.chance.randrange(4)}"

    def wish(self, of: str, **spec: str) -> Change:
        change = self.one.change(of, **spec)
        return replace(change, uid=f"{change.uid}-{self.incarnations[of]}")

    async def declare(self) -> None:
        # The other process may not have heard of the phase yet.
        spec = {"name": self.title}
        if self.chance.random() < 0.4:
            spec["parentId"] = self.name
        site = self.chance.choice([self.one, self.other])
        await site.registry.apply(self.wish(self.name, **spec))

    async def end(self) -> None:
        site = self.chance.choice([self.one, self.other])
        name = self.name
        await site.registry.delete(self.wish(name))
        self.incarnations[name] += 1

    async def write_directly(self) -> None:
        name, title = self.name, self.title
        try:
            self.one.insert(name, title)
        except Exception:
            self.one.rename(name, title)
            self.one.write("UPDATE organizations SET deleted_at = NULL WHERE id = :id", id=name)

    async def delete_directly(self) -> None:
        self.one.write("DELETE FROM organizations WHERE id = :id", id=self.name)

    async def fail_next(self) -> None:
        errors = [ProjectionFailed("ReadModels: KeyError"), StoreUnavailable("gone")]
        if self.phase is Phase.DUAL_WRITE:
            self.one.failing.failures.append(self.chance.choice(errors))

    async def work(self) -> None:
        await self.one.work()

    async def follow(self) -> None:
        self.one.follower.step()

    async def verify(self) -> None:
        await self.one.verifier.once()

    async def sweep(self) -> None:
        await self.one.sweeper.whole(ORGANIZATION)

    async def move(self) -> None:
        self.one.failing.failures.clear()
        at = PHASES.index(self.phase)
        to = self.chance.choice([PHASES[each] for each in (at - 1, at + 1) if 0 <= each < 4])
        await self.one.enter(to)
        if self.chance.random() < 0.5:
            self.other.view.refresh()

    async def settle(self) -> None:
        self.one.failing.failures.clear()
        if self.phase is Phase.LEGACY:
            await self.one.enter(Phase.DUAL_WRITE)
        await self.one.settle()

    def check(self) -> None:
        legacy, read, log = self.one.legacy_side(), self.one.read_side(), self.one.log_side()
        refused = {each.id for each in self.one.findings.open(ORGANIZATION)}
        assert read == log, self.told
        assert legacy.keys() - refused == log.keys() - refused, (self.told, refused)
        assert {name: legacy[name] for name in legacy.keys() - refused} == {
            name: log[name] for name in log.keys() - refused
        }, self.told


async def live(url: str, seed: int, steps: int) -> Life:
    make_old_registry(url)
    async with site(url) as one, site(url, replica="other") as other:
        life = Life(one, other, random.Random(seed))
        for _ in range(steps):
            await life.step()
        await life.settle()
        life.check()
        return life


@pytest.mark.parametrize("seed", range(12))
async def test_all_sides_agree_in_the_end(
    tmp_path: Path, request: pytest.FixtureRequest, seed: int
) -> None:
    await live(database_url("sqlite", tmp_path, request), seed, steps=60)


@pytest.mark.parametrize("seed", [100, 101])
async def test_all_sides_agree_on_postgresql(
    tmp_path: Path, request: pytest.FixtureRequest, seed: int
) -> None:
    await live(database_url("postgresql", tmp_path, request), seed, steps=40)
