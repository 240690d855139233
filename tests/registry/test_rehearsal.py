"""A rehearsal answers what the registry would, and records nothing."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.domain.strategies import NAMES, kinds, raw_specs
from tests.registry.sites import APPLICATION, SERVER, change, imagined, ref

from eatool.registry.change import Change
from eatool.registry.opening import open_registry
from eatool.registry.outcome import Outcome, Recorded, Refused, Unavailable, WaitingFor
from eatool.registry.service import Registry

APPLICATION_ON_SERVER = {
    "sourceType": "application",
    "targetType": "server",
    "targetId": "db-1",
    "relationType": "deployed_on",
}


@st.composite
def commands(draw: st.DrawFn) -> tuple[str, Change]:
    kind = draw(kinds)
    name = draw(st.sampled_from(NAMES[kind.aggregate_type]))
    if draw(st.integers(0, 4)) == 0:
        return "delete", change(kind.kind, name)
    return "apply", change(kind.kind, name, draw(raw_specs(kind)))


def seen(outcome: Outcome) -> tuple[Any, ...]:
    if isinstance(outcome, Unavailable):
        return (outcome,)
    missing = outcome.missing if isinstance(outcome, WaitingFor) else None
    if isinstance(outcome, Recorded):
        events = [(event.type, event.version, event.data) for event in outcome.events]
        return "Recorded", events, outcome.state, outcome.last, outcome.warnings
    return type(outcome).__name__, outcome.state, getattr(outcome, "errors", ()), missing


async def run(registry: Registry, command: tuple[str, Change]) -> Outcome:
    verb, wanted = command
    return await (registry.apply if verb == "apply" else registry.delete)(wanted)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=st.lists(commands(), max_size=8),
    rehearsed=st.lists(commands(), min_size=4, max_size=16),
)
def test_a_rehearsal_answers_like_the_registry(
    before: list[tuple[str, Change]], rehearsed: list[tuple[str, Change]]
) -> None:
    async def compare(url: str) -> None:
        async with open_registry(url) as real:
            for command in before:
                await run(real.registry, command)
            head = real.store.head()
        async with open_registry(url, dry_run=True) as dry:
            planned = [seen(await run(dry.registry, command)) for command in rehearsed]
            assert dry.store.head() == head
        async with open_registry(url) as real:
            recorded = [seen(await run(real.registry, command)) for command in rehearsed]
        assert planned == recorded

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(f"sqlite:///{Path(folder) / 'registry.db'}"))


async def test_changes_rehearsed_at_the_same_time_meet_each_other() -> None:
    async with imagined() as (registry, log):
        assert isinstance(await registry.apply(change("Server", "db-1", SERVER)), Recorded)
        wanted = [change("Application", f"a{index}", APPLICATION) for index in range(40)]
        outcomes = await asyncio.gather(*map(registry.apply, wanted))
        assert sum(isinstance(outcome, Recorded) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 39
        assert log.head().position == 2
        # What was refused is not there.
        for index, outcome in enumerate(outcomes):
            runs_on = {**APPLICATION_ON_SERVER, "sourceId": f"a{index}"}
            expected = Recorded if isinstance(outcome, Recorded) else WaitingFor
            assert isinstance(
                await registry.apply(change("Relation", f"r{index}", runs_on)), expected
            )


async def test_imagined_relations_stand_in_each_others_way() -> None:
    ends = {
        "sourceType": "server",
        "sourceId": "a",
        "targetType": "server",
        "targetId": "b",
        "relationType": "connected_to",
        "bidirectional": True,
    }
    early = {**ends, "effectiveTo": "2025-12-31T23:59:59Z"}
    late = {**ends, "effectiveFrom": "2026-01-01T00:00:00Z"}
    both = {**ends, "effectiveFrom": "2025-06-01T00:00:00Z", "effectiveTo": "2026-06-01T00:00:00Z"}
    async with imagined() as (registry, _):
        for name in ("a", "b"):
            spec = {"hostname": name, "environment": "dev", "criticality": "low"}
            assert isinstance(await registry.apply(change("Server", name, spec)), Recorded)
        assert isinstance(await registry.apply(change("Relation", "early", early)), Recorded)
        assert isinstance(await registry.apply(change("Relation", "late", late)), Recorded)
        refused = await registry.apply(change("Relation", "both", both))
        assert isinstance(refused, Refused)
        assert refused.blocked_by == {ref("Relation", "early"), ref("Relation", "late")}
