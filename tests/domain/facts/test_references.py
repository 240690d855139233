"""References: what each names, whether it waits for it, and what it keeps from being deleted."""

from __future__ import annotations

from typing import Any

import pytest
from tests.domain.facts.book import (
    BY_TYPE,
    FIELDS,
    KINDS,
    MATRIX,
    REFERENCES,
    FieldFact,
    codes_of,
    errors_of,
    fields_of,
    place,
)
from tests.domain.samples import FULL, MINIMAL
from tests.domain.world import World, ref

from eatool.domain.decision import Accepted, Rejected, Waiting
from eatool.domain.landscape import Pending

FIXED = [field for field in REFERENCES if field.kind != "Relation"]
BLOCKERS = [(kind, field) for kind, facts in KINDS.items() for field in facts["blocked by"]]


def surroundings(world: World, kind: str, spec: dict[str, Any], but: str = "") -> None:
    """Everything that ``spec`` names exists, except what the field ``but`` names."""
    for field in fields_of(kind):
        if field.target is not None and field.name != but and field.name in spec:
            target = field.target if field.target in KINDS else BY_TYPE[spec[field.target]]
            for name in spec[field.name] if field.many else [spec[field.name]]:
                place(world, target, name)


def naming(field: FieldFact, name: str) -> dict[str, Any]:
    return MINIMAL[field.kind] | {field.name: field.holding(name)}


@pytest.mark.parametrize("field", FIXED, ids=str)
def test_a_reference_waits_or_warns_until_its_target_is_there(field: FieldFact) -> None:
    assert field.target is not None
    world, spec = World(), naming(field, "target")
    surroundings(world, field.kind, spec, but=field.name)
    for kind in KINDS:
        if kind != field.target and not (kind == field.kind and field.name == "parentId"):
            place(world, kind, "target")  # of the right name only
    missing = world.decide(field.kind, "it", spec)
    if field.hard:
        assert isinstance(missing, Waiting)
        assert missing.missing == {ref(field.target, "target")}
        said = missing.errors
    else:
        assert isinstance(missing, Accepted)
        said = missing.warnings
    complaints = [(each.field, each.code.value) for each in said if "REFERENCE" in each.code]
    assert complaints == [(field.path, "REFERENCE_NOT_FOUND")]
    target = place(world, field.target, "target")
    leaving = world.decide(field.kind, "it", spec, pending=Pending(terminating={target}))
    assert isinstance(leaving, Waiting if field.hard else Accepted)
    told = leaving.errors if isinstance(leaving, Waiting) else leaving.warnings
    assert (field.path, "REFERENCE_TERMINATING") in [(each.field, each.code.value) for each in told]
    found = world.decide(field.kind, "it", spec)
    assert isinstance(found, Accepted)
    assert [each.field for each in found.warnings if "REFERENCE" in each.code] == []


@pytest.mark.parametrize(("source", "verb", "target"), [row[:3] for row in MATRIX])
def test_a_relation_waits_for_both_of_its_ends(source: str, verb: str, target: str) -> None:
    world, spec = World(), World.relation(f"{source}/a", verb, f"{target}/b")
    for kind in KINDS:
        for name in ("a", "b"):
            if (kind, name) not in {(BY_TYPE[source], "a"), (BY_TYPE[target], "b")}:
                place(world, kind, name)
    decision = world.decide("Relation", "it", spec)
    assert isinstance(decision, Waiting)
    assert decision.missing == {ref(BY_TYPE[source], "a"), ref(BY_TYPE[target], "b")}
    place(world, BY_TYPE[source], "a")
    place(world, BY_TYPE[target], "b")
    assert isinstance(world.decide("Relation", "it", spec), Accepted)


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_field_is_a_reference(kind: str) -> None:
    world = World()
    surroundings(world, kind, FULL[kind])
    decision = world.decide(kind, "it", FULL[kind])
    assert isinstance(decision, Accepted), errors_of(decision)
    assert [str(each) for each in decision.warnings if "REFERENCE" in each.code] == []


def referrer(world: World, kind: str, field: str) -> dict[str, Any]:
    """A spec that names an entity ``it`` of ``kind`` in ``field``, in a world where all exists."""
    referring, name = field.split(".")
    if referring == "Relation":
        at = 0 if name == "sourceId" else 2
        row = next(row for row in MATRIX if BY_TYPE[str(row[at])] == kind)
        ends = [f"{row[0]}/other", f"{row[2]}/other"]
        ends[at // 2] = f"{row[at]}/it"
        spec = World.relation(ends[0], row[1], ends[1])
    else:
        (fact,) = (each for each in FIELDS if str(each) == field)
        spec = naming(fact, "it")
    surroundings(world, referring, spec)
    return spec


@pytest.mark.parametrize(("kind", "field"), BLOCKERS)
def test_who_is_named_stays(kind: str, field: str) -> None:
    world = World()
    spec = referrer(world, kind, field)
    place(world, kind, "it")
    referring = field.split(".", maxsplit=1)[0]
    world.apply(referring, "by-this", spec)
    decision = world.decide_deletion(kind, "it")
    assert isinstance(decision, Rejected)
    assert [(each.field, each.code.value) for each in decision.errors] == [
        ("metadata.name", "DELETE_BLOCKED")
    ]
    assert decision.blocked_by == {ref(referring, "by-this")}
    leaving = world.decide_deletion(kind, "it", terminating=decision.blocked_by)
    assert isinstance(leaving, Accepted), "who leaves itself keeps nobody"
    world.delete(referring, "by-this")
    world.delete(kind, "it")


def test_every_reference_blocks_the_deletion_of_its_target() -> None:
    """What blocks is written beside the target, what names beside the referrer: both agree."""
    named = {(field.target, str(field)) for field in FIXED}
    named |= {(BY_TYPE[source], "Relation.sourceId") for source, *_ in MATRIX}
    named |= {(BY_TYPE[target], "Relation.targetId") for _, _, target, _ in MATRIX}
    assert set(BLOCKERS) == named


@pytest.mark.parametrize("kind", [kind for kind, facts in KINDS.items() if "parent" in facts])
def test_a_hierarchy_has_no_loop(kind: str) -> None:
    world = World()
    place(world, kind, "top")
    for name, parent in (("middle", "top"), ("low", "middle")):
        world.apply(kind, name, {"name": name, "parentId": parent})
    for parent in ("top", "middle", "low"):
        loop = {"name": "Top", "parentId": parent}
        assert codes_of(world.decide(kind, "top", loop)) == {"CIRCULAR_REFERENCE"}
    new = World()
    pending = Pending(parents={ref(kind, "b"): ref(kind, "a")})
    waiting = {"name": "A", "parentId": "b"}
    assert "CIRCULAR_REFERENCE" in codes_of(new.decide(kind, "a", waiting, pending=pending))


def test_a_lineage_may_run_in_circles_but_not_to_itself() -> None:
    world, data = World(), MINIMAL["DataEntity"]
    world.apply("DataEntity", "a", data | {"name": "A", "lineage": ["b"]})
    world.apply("DataEntity", "b", data | {"name": "B", "lineage": ["a"]})
    itself = data | {"name": "A", "lineage": ["a"]}
    assert codes_of(world.decide("DataEntity", "a", itself)) == {"CIRCULAR_REFERENCE"}
    world.apply("ApplicationService", "s", {"name": "S", "consumers": ["team:Sales"]})
