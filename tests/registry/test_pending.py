"""Bookkeeping of what is desired and not accepted."""

from __future__ import annotations

from tests.registry.sites import change, imagined, ref

from eatool.registry.outcome import Recorded, WaitingFor
from eatool.registry.pending import PendingChanges

A, B = ref("Organization", "a"), ref("Organization", "b")


def test_the_view_is_live() -> None:
    pending = PendingChanges()
    view = pending.view()
    pending.desire_parent(A, B)
    pending.terminate(B)
    assert view.parents[A] == B
    assert view.terminating == {B}
    pending.settle(A)
    pending.settle(B)
    assert A not in view.parents
    assert view.terminating == set()


async def test_what_is_recorded_is_not_pending() -> None:
    async with imagined() as (registry, _):
        below = change("Organization", "a", {"name": "A", "parentId": "b"})
        assert isinstance(await registry.apply(below), WaitingFor)
        assert dict(registry.pending.view().parents) == {A: B}
        await registry.apply(change("Organization", "b", {"name": "B"}))
        assert isinstance(await registry.apply(below), Recorded)
        assert dict(registry.pending.view().parents) == {}


async def test_what_nobody_desires_any_more_is_not_pending() -> None:
    async with imagined() as (registry, _):
        below = change("Organization", "a", {"name": "A", "parentId": "b"})
        await registry.apply(below)
        await registry.delete(change("Organization", "a"))
        assert dict(registry.pending.view().parents) == {}
        assert registry.arrivals.waiting() == 0
