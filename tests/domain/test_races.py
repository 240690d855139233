"""Two decisions on the same registry, each valid alone: the append refuses the second."""

from __future__ import annotations

from typing import Any

import pytest
from tests.domain.memory_landscape import RefusedAtAppend
from tests.domain.world import World, ref

from eatool.domain.decision import Accepted

Change = tuple[str, str, dict[str, Any]]
WINDOWED = World.relation("application/shop", "calls", "application/erp")


def move(name: str, parent: str | None) -> Change:
    return ("Organization", name, {"name": name, "parentId": parent})


def relate(name: str, opens: str | None, closes: str | None) -> Change:
    window = {"effectiveFrom": opens, "effectiveTo": closes}
    return ("Relation", name, WINDOWED | window)


Y20, Y21, Y22, Y23 = (f"20{year}-01-01T00:00:00Z" for year in (20, 21, 22, 23))

EDGE = "shared key relation/default/edge:application/shop/calls/application/erp"
RACES: dict[str, tuple[Change, Change, str]] = {
    "two moves close a loop": (move("a", "b"), move("b", "a"), "condition OrganizationMoved."),
    "same name": (
        ("Application", "x", World.application("New")),
        ("Application", "y", World.application("NEW ")),
        "key application/default/name:new",
    ),
    "same edge without window": (relate("x", None, None), relate("y", None, None), EDGE),
    "open windows": (relate("x", Y20, None), relate("y", Y22, None), EDGE),
    "nested windows": (relate("x", Y20, Y23), relate("y", Y21, Y22), EDGE),
    "half-open against bounded": (relate("x", Y20, Y22), relate("y", Y21, None), EDGE),
    "no window against bounded": (relate("x", Y20, Y22), relate("y", None, None), EDGE),
    "bounded against no window": (relate("x", None, None), relate("y", Y20, Y22), EDGE),
}


@pytest.mark.parametrize(("first", "second", "why"), RACES.values(), ids=RACES)
def test_second_is_refused(populated: World, first: Change, second: Change, why: str) -> None:
    for name in ("a", "b"):
        populated.apply(*move(name, None))
    snapshot = populated.registry.snapshot()
    outcomes = [populated.decide(*change, landscape=snapshot) for change in (first, second)]
    states = [snapshot.state(ref(kind, name)) for kind, name, _ in (first, second)]
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    populated.registry.record(states[0], accepted[0], len(snapshot.log))
    with pytest.raises(RefusedAtAppend, match=why):
        populated.registry.record(states[1], accepted[1], len(snapshot.log))


def test_move_below_an_ancestor_that_is_deleted_and_created_anew(world: World) -> None:
    for name in ("a", "b"):
        world.apply(*move(name, None))
    snapshot = world.registry.snapshot()
    late = world.decide(*move("a", "b"), landscape=snapshot)
    world.delete("Organization", "b")
    world.apply(*move("b", "a"))
    assert isinstance(late, Accepted)
    with pytest.raises(RefusedAtAppend, match="condition OrganizationDeleted"):
        world.registry.record(snapshot.state(ref("Organization", "a")), late, len(snapshot.log))


def test_reference_to_what_is_deleted_meanwhile(populated: World) -> None:
    spec = World.application("New", capabilityId="sell")
    populated.apply("Application", "shop", World.application("Shop"))
    late = populated.decide("Application", "new", spec)
    populated.delete("BusinessCapability", "sell")
    assert isinstance(late, Accepted)
    with pytest.raises(RefusedAtAppend, match="reference gone"):
        populated.registry.record(populated.state("Application", "new"), late)


def test_deletion_of_what_is_referenced_meanwhile(populated: World) -> None:
    late = populated.decide_deletion("Server", "db")
    state = populated.state("Server", "db")
    edge = World.relation("application/shop", "deployed_on", "server/db")
    populated.apply("Relation", "r", edge)
    assert isinstance(late, Accepted)
    with pytest.raises(RefusedAtAppend, match="still referenced"):
        populated.registry.record(state, late)


def test_creations_and_unrelated_edits_do_not_refuse_each_other(populated: World) -> None:
    """Relations between other ends, and of other types, are in nobody's way, windows or not."""
    other = World.relation("application/erp", "calls", "application/shop")
    changes: list[Change] = [
        move("x", "acme"),
        move("y", "acme"),
        relate("r", Y20, Y21),
        ("Relation", "s", other | {"effectiveFrom": Y20}),
        ("Relation", "t", WINDOWED | {"relationType": "depends_on"}),
    ]
    snapshot = populated.registry.snapshot()
    for change in changes:
        outcome = populated.decide(*change, landscape=snapshot)
        assert isinstance(outcome, Accepted)
        assert not outcome.constraints.no_events_since
        populated.registry.record(snapshot.state(ref(*change[:2])), outcome, len(snapshot.log))


def test_a_neighbour_that_moves_or_is_created_anew_is_not_the_one_that_was_seen(
    populated: World,
) -> None:
    populated.apply(*relate("early", Y20, Y21))
    snapshot = populated.registry.snapshot()
    late = populated.decide(*relate("late", Y22, Y23), landscape=snapshot)
    assert isinstance(late, Accepted)
    state = snapshot.state(ref("Relation", "late"))

    moved = World(populated.registry.snapshot())
    moved.apply(*relate("early", Y20, Y22))
    anew = World(populated.registry.snapshot())
    anew.delete("Relation", "early")
    anew.apply(*relate("early", Y23, None))
    gone = World(populated.registry.snapshot())
    gone.delete("Relation", "early")

    for world in (moved, anew):
        with pytest.raises(RefusedAtAppend, match=EDGE):
            world.registry.record(state, late, len(snapshot.log))
    gone.registry.record(state, late, len(snapshot.log))
