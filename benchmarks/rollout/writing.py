"""How long a change takes in each phase, beside one of a kind that is not under rollout."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.rollout.process import KIND, NAMESPACE, Site, at
from benchmarks.store.checks import check_equal
from eatool.registry.change import Change
from eatool.registry.outcome import Queued, Recorded, WrittenToLegacy
from eatool.registry.service import Entrance
from eatool.rollout.phases import Phase

#: What a change of each phase comes to; ``None`` = no rollout.
ANSWERS: dict[Phase | None, type[Recorded] | type[WrittenToLegacy] | type[Queued]] = {
    None: Recorded,
    Phase.LEGACY: WrittenToLegacy,
    Phase.DUAL_WRITE: Recorded,
    Phase.PROJECTION_ONLY: Recorded,
    Phase.ASYNC_COMMANDS: Queued,
}
_IN_FLIGHT = 64


@dataclass(frozen=True, slots=True)
class Writes:
    """``latency``: median of one caller's changes, s; ``rate``: changes per second, 64 at once."""

    latency: float
    rate: float


def measure(url: str, phase: Phase | None, changes: int) -> Writes:
    """On a migrated, adopted and otherwise empty database."""
    return asyncio.run(_measure(url, phase, changes))


async def _measure(url: str, phase: Phase | None, changes: int) -> Writes:
    async with at(url, phase) as site:
        registry: Entrance = site.opened.registry if site.process is None else site.process.registry
        wanted = ANSWERS[phase]
        took = []
        for number in range(changes):
            started = time.perf_counter()
            outcome = await registry.apply(_change("one", number))
            took.append(time.perf_counter() - started)
            check_equal(f"{phase}: outcome", type(outcome), wanted)
        started = time.perf_counter()
        callers = [
            _write(registry, f"many-{caller}", changes // 16, wanted)
            for caller in range(_IN_FLIGHT)
        ]
        await asyncio.gather(*callers)
        rate = _IN_FLIGHT * (changes // 16) / (time.perf_counter() - started)
        _complete(site, phase, changes + _IN_FLIGHT * (changes // 16))
        return Writes(median(took), rate)


async def _write(registry: Entrance, prefix: str, changes: int, wanted: type[Any]) -> None:
    for number in range(changes):
        outcome = await registry.apply(_change(prefix, number))
        check_equal("outcome", type(outcome), wanted)


def _change(prefix: str, number: int) -> Change:
    """A new entity each time: the same work in every phase."""
    name = f"{prefix}-{number}"
    spec = {
        "name": f"Application {name}",
        "owner": "Checkout",
        "lifecycle": "active",
        "dataClassification": "internal",
    }
    return Change(ref=KIND.ref(NAMESPACE, name), uid=f"uid-{name}", generation=1, spec=spec)


def _complete(site: Site, phase: Phase | None, changes: int) -> None:
    """Nothing is lost: every change is where its phase keeps it."""
    if phase in {Phase.LEGACY, Phase.ASYNC_COMMANDS}:
        return
    last = 0
    found = 0
    while events := site.opened.store.read_all(after=last, limit=5_000):
        last = events[-1].position
        found += sum(each.stream_id.startswith(f"{KIND.aggregate_type}/") for each in events)
    check_equal(f"{phase}: events", found, changes)
