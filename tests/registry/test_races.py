"""Two processes on one database: what each decided alone must still hold together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import combinations, pairwise
from typing import Any

import pytest
from tests.registry.sites import APPLICATION, SERVER, Gated, change, ref

from eatool.domain.errors import Code
from eatool.domain.identity import EntityRef
from eatool.domain.landscape import Landscape
from eatool.domain.windows import Window
from eatool.registry.change import Change
from eatool.registry.opening import OpenRegistry, open_registry
from eatool.registry.outcome import Outcome, Recorded, Refused, Unavailable, Unchanged, WaitingFor
from eatool.registry.service import Appender
from eatool.store.port import Append, Appended


@asynccontextmanager
async def slow_and_fast(url: str) -> AsyncIterator[tuple[OpenRegistry, Gated, OpenRegistry]]:
    """Two registries; the first one pauses between its first decision and its append."""
    gates: list[Gated] = []

    def gated(inner: Appender) -> Appender:
        gates.append(Gated(inner))
        return gates[0]

    async with open_registry(url, around=gated) as slow, open_registry(url) as fast:
        yield slow, gates[0], fast


async def overtake(
    slow: OpenRegistry, gate: Gated, late: Change, fast: OpenRegistry, *early: Change
) -> Outcome:
    """``late`` is decided, then ``early`` is recorded elsewhere, then ``late`` is appended."""
    pending = asyncio.create_task(slow.registry.apply(late))
    await gate.arrived.wait()
    for each in early:
        assert isinstance(await fast.registry.apply(each), Recorded)
    gate.gate.set()
    return await pending


async def setup(url: str, *changes: Change) -> None:
    async with open_registry(url) as opened:
        for each in changes:
            assert isinstance(await opened.registry.apply(each), Recorded)


async def test_a_reference_to_what_was_deleted_meanwhile_waits(url: str) -> None:
    await setup(url, change("BusinessCapability", "selling", {"name": "Selling"}))
    async with slow_and_fast(url) as (slow, gate, fast):
        late = change("Application", "webshop", {**APPLICATION, "capabilityId": "selling"})
        pending = asyncio.create_task(slow.registry.apply(late))
        await gate.arrived.wait()
        gone = await fast.registry.delete(change("BusinessCapability", "selling"))
        gate.gate.set()
        assert isinstance(gone, Recorded)
        assert isinstance(await pending, WaitingFor)


async def test_a_deletion_of_what_was_referenced_meanwhile_is_refused(url: str) -> None:
    await setup(url, change("BusinessCapability", "selling", {"name": "Selling"}))
    async with slow_and_fast(url) as (slow, gate, fast):
        pending = asyncio.create_task(slow.registry.delete(change("BusinessCapability", "selling")))
        await gate.arrived.wait()
        spec = {**APPLICATION, "capabilityId": "selling"}
        assert isinstance(await fast.registry.apply(change("Application", "a", spec)), Recorded)
        gate.gate.set()
        outcome = await pending
        assert isinstance(outcome, Refused)
        assert outcome.errors[0].code is Code.DELETE_BLOCKED


async def test_of_two_equal_names_one_is_refused(url: str) -> None:
    async with slow_and_fast(url) as (slow, gate, fast):
        outcome = await overtake(
            slow,
            gate,
            change("Application", "shop", {**APPLICATION, "name": "WEBSHOP"}),
            fast,
            change("Application", "webshop", APPLICATION),
        )
        assert isinstance(outcome, Refused)
        assert outcome.errors[0].code is Code.ALREADY_EXISTS
        assert outcome.blocked_by == {ref("Application", "webshop")}


async def test_two_moves_do_not_close_a_loop(url: str) -> None:
    names = ("a", "b", "c", "d")
    await setup(url, *(change("Organization", name, {"name": name}) for name in names))
    async with slow_and_fast(url) as (slow, gate, fast):
        outcome = await overtake(
            slow,
            gate,
            change("Organization", "a", {"name": "a", "parentId": "b"}),
            fast,
            change("Organization", "b", {"name": "b", "parentId": "c"}),
            change("Organization", "c", {"name": "c", "parentId": "a"}),
        )
        assert isinstance(outcome, Refused)
        assert outcome.errors[0].code is Code.CIRCULAR_REFERENCE
        assert not loops(fast.landscape, [ref("Organization", name) for name in names])


EDGE = {
    "sourceType": "server",
    "sourceId": "a",
    "targetType": "server",
    "targetId": "b",
    "relationType": "connected_to",
    "bidirectional": True,
}
ALWAYS: dict[str, Any] = {}
IN_2020 = {"effectiveFrom": "2020-01-01T00:00:00Z", "effectiveTo": "2021-01-01T00:00:00Z"}
SINCE_2022 = {"effectiveFrom": "2022-01-01T00:00:00Z"}


async def servers(url: str) -> None:
    await setup(url, *(change("Server", name, {**SERVER, "hostname": name}) for name in ("a", "b")))


@pytest.mark.parametrize(("late", "early"), [(ALWAYS, IN_2020), (IN_2020, ALWAYS)])
async def test_of_two_relations_that_overlap_one_is_refused(
    url: str, late: dict[str, Any], early: dict[str, Any]
) -> None:
    await servers(url)
    async with slow_and_fast(url) as (slow, gate, fast):
        outcome = await overtake(
            slow,
            gate,
            change("Relation", "late", {**EDGE, **late}),
            fast,
            change("Relation", "early", {**EDGE, **early}),
        )
        assert isinstance(outcome, Refused)
        assert outcome.errors[0].code is Code.ALREADY_EXISTS
        assert outcome.blocked_by == {ref("Relation", "early")}


async def test_a_relation_beside_one_recorded_meanwhile_is_decided_anew(url: str) -> None:
    await servers(url)
    async with slow_and_fast(url) as (slow, gate, fast):
        outcome = await overtake(
            slow,
            gate,
            change("Relation", "late", {**EDGE, **SINCE_2022}),
            fast,
            change("Relation", "early", {**EDGE, **IN_2020}),
        )
        assert isinstance(outcome, Recorded)


async def test_many_relations_between_the_same_ends_never_overlap(url: str) -> None:
    """Two processes, windows of all sorts; what got in stands side by side."""
    await servers(url)
    windows = [ALWAYS, SINCE_2022] + [
        {
            "effectiveFrom": f"{year}-01-01T00:00:00Z",
            "effectiveTo": f"{year + length}-06-01T00:00:00Z",
        }
        for year in range(2020, 2026)
        for length in (0, 1)
    ]
    async with open_registry(url) as one, open_registry(url) as two:
        wanted = [
            (
                (one, two)[index % 2],
                change("Relation", f"r{index}", {**EDGE, **window}, uid=f"u{index}"),
            )
            for index, window in enumerate(windows)
        ]
        outcomes = await asyncio.gather(*(site.registry.apply(each) for site, each in wanted))
        assert not any(isinstance(outcome, Unavailable) for outcome in outcomes)
        recorded = [
            outcome.state.spec.model_dump()
            for outcome in outcomes
            if isinstance(outcome, Recorded) and outcome.state.spec is not None
        ]
        assert recorded
        taken = [Window.of(spec["effective_from"], spec["effective_to"]) for spec in recorded]
        assert not [pair for pair in combinations(taken, 2) if pair[0].overlaps(pair[1])]


async def test_a_second_server_of_the_same_host_is_told_in_every_race(url: str) -> None:
    async with slow_and_fast(url) as (slow, gate, fast):
        late = await overtake(
            slow, gate, change("Server", "a", SERVER), fast, change("Server", "b", SERVER)
        )
        assert isinstance(late, Recorded)
        assert len(late.warnings) == 1
        again = [await fast.registry.apply(change("Server", name, SERVER)) for name in ("a", "b")]
        assert [len(each.warnings) for each in again if isinstance(each, Unchanged)] == [1, 1]


async def test_many_moves_at_once_leave_a_tree(url: str) -> None:
    names = [f"o{index}" for index in range(6)]
    await setup(url, *(change("Organization", name, {"name": name}) for name in names))
    async with open_registry(url) as one, open_registry(url) as two:
        moves = [
            (site, change("Organization", name, {"name": name, "parentId": parent}))
            for site, offset in ((one, 1), (two, 2))
            for name, parent in zip(names, names[offset:] + names[:offset], strict=True)
        ]
        outcomes = await asyncio.gather(*(site.registry.apply(move) for site, move in moves))
        assert not any(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert not loops(one.landscape, [ref("Organization", name) for name in names])


async def test_no_edit_is_lost(url: str) -> None:
    """Each edit is based on what its writer saw last, or is decided anew."""
    regions = [f"region-{index}" for index in range(24)]
    async with open_registry(url) as one, open_registry(url) as two:
        outcomes = await asyncio.gather(
            *(
                (one, two)[index % 2].registry.apply(
                    change("Server", "db-1", {**SERVER, "region": region}, uid=f"writer-{index}")
                )
                for index, region in enumerate(regions)
            )
        )
        assert all(isinstance(outcome, Recorded | Unchanged) for outcome in outcomes)
        stream = one.store.read_stream("server/default/db-1")
        assert {event.data["entity"]["region"] for event in stream} == set(regions)
        for before, after in pairwise(stream):
            assert after.data["changes"]["region"]["old"] == before.data["entity"]["region"]


async def test_two_writers_with_the_same_identity_do_not_pass_for_each_other(url: str) -> None:
    """Command lines count generations from the same base; their specs still differ."""
    async with slow_and_fast(url) as (slow, gate, fast):
        outcome = await overtake(
            slow,
            gate,
            change("Server", "db-1", {**SERVER, "region": "north"}),
            fast,
            change("Server", "db-1", {**SERVER, "region": "south"}),
        )
        assert isinstance(outcome, Recorded)
        assert not outcome.repeated
        stream = fast.store.read_stream("server/default/db-1")
        assert [event.data["entity"]["region"] for event in stream] == ["south", "north"]


async def test_writers_that_are_always_late_give_up_for_now(sqlite_url: str) -> None:
    async with open_registry(sqlite_url) as fast:
        count = 0

        class Overtaken:
            def __init__(self, inner: Appender) -> None:
                self._inner = inner

            async def append(self, *appends: Append) -> Appended:
                nonlocal count
                count += 1
                spec = {**SERVER, "region": f"r{count}"}
                await fast.registry.apply(change("Server", "db-1", spec, uid="fast"))
                return await self._inner.append(*appends)

        async with open_registry(sqlite_url, around=Overtaken) as slow:
            outcome = await slow.registry.apply(change("Server", "db-1", SERVER))
        assert isinstance(outcome, Unavailable)
        assert count == 10


def loops(landscape: Landscape, refs: list[EntityRef]) -> bool:
    for start in refs:
        node, steps = landscape.parent(start), 0
        while node is not None:
            steps += 1
            if node == start or steps > len(refs):
                return True
            node = landscape.parent(node)
    return False
