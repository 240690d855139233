"""The relation matrix: every triple there can be, and what each is in ArchiMate."""

from __future__ import annotations

from itertools import product

import pytest
from tests.domain.facts.book import (
    BY_TYPE,
    KINDS,
    MATRIX,
    VALUES,
    another,
    change,
    errors_of,
    fields_of,
    place,
)
from tests.domain.facts.test_references import surroundings
from tests.domain.samples import FULL, MINIMAL
from tests.domain.world import World, complaints, ref

from eatool.domain.decision import Accepted
from eatool.domain.kinds import by_kind

ENDS, VERBS = VALUES["end"]["all"], VALUES["verb"]["all"]
LEGAL = {(source, verb, target): archimate for source, verb, target, archimate in MATRIX}


def test_every_triple_is_taken_or_refused_as_written() -> None:
    assert len(LEGAL) == 23
    assert len(ENDS) * len(VERBS) * len(ENDS) == 1088
    for source, verb, target in product(ENDS, VERBS, ENDS):
        spec = World.relation(f"{source}/a", verb, f"{target}/b")
        codes = [line.split(":")[0] for line in complaints("Relation", spec)]
        expected = (
            [] if (source, verb, target) in LEGAL else ["RELATION_NOT_ALLOWED spec.relationType"]
        )
        assert codes == expected, (source, verb, target)


@pytest.mark.parametrize("triple", LEGAL, ids=" ".join)
def test_an_edge_is_shown_in_archimate(triple: tuple[str, str, str]) -> None:
    source, verb, target = triple
    spec = World.relation(f"{source}/a", verb, f"{target}/b")
    for name in VALUES["relationship"]["all"]:
        codes = [
            line.split(":")[0]
            for line in complaints("Relation", spec | {"archimateRelationship": name})
        ]
        mismatch = ["ARCHIMATE_MISMATCH spec.archimateRelationship"]
        assert codes == ([] if name in LEGAL[triple] else mismatch), name
    world, relation = World(), by_kind("Relation")
    surroundings(world, "Relation", spec)
    accepted = world.apply("Relation", "edge", spec).events[-1].entity
    shown = relation.derived(ref("Relation", "edge"), accepted, world.registry)
    assert shown.archimate_relationship == LEGAL[triple][0]
    assert shown.archimate_element == KINDS[BY_TYPE[source]]["element"][0]
    for element in VALUES["element"]["all"]:
        decision = world.decide("Relation", "edge", spec | {"archimateElement": element})
        assert isinstance(decision, Accepted)
        warned = "spec.archimateElement" in [warning.field for warning in decision.warnings]
        assert warned is (element not in KINDS[BY_TYPE[source]]["element"]), element


def test_kinds_stand_for_elements_of_archimate() -> None:
    """Shown in the reference pages only, so the declaration is all there is to ask."""
    for kind, facts in KINDS.items():
        declared = by_kind(kind)
        assert BY_TYPE[declared.aggregate_type] == kind
        assert declared.archimate_element == next(iter(facts["element"]), None)
        assert declared.layer == facts["layer"]


LEVELS = VALUES["classification"]["all"]


@pytest.mark.parametrize(("application", "data"), list(product(LEVELS, repeat=2)))
def test_an_edge_is_as_sensitive_as_its_higher_end(application: str, data: str) -> None:
    world, relation = World(), by_kind("Relation")
    place(world, "Application", "a", World.application("A", dataClassification=application))
    place(world, "DataEntity", "d", MINIMAL["DataEntity"] | {"classification": data})
    spec = World.relation("application/a", "reads", "data_entity/d")
    accepted = world.apply("Relation", "edge", spec).events[-1].entity
    shown = relation.derived(ref("Relation", "edge"), accepted, world.registry)
    assert shown.data_classification == LEVELS[max(LEVELS.index(application), LEVELS.index(data))]


def test_who_an_edge_connects_is_fixed() -> None:
    immutable = KINDS["Relation"]["immutable"]
    world = World()
    place(world, "Relation", "edge", FULL["Relation"])
    surroundings(world, "Relation", FULL["Relation"])
    for field in fields_of("Relation"):
        new = another(field, FULL["Relation"][field.name])
        decision = change(world, "Relation", "edge", FULL["Relation"] | {field.name: new})
        fixed = [error.field for error in errors_of(decision) if error.code == "IMMUTABLE_FIELD"]
        assert fixed == ([f"spec.{field.name}"] if field.name in immutable else []), field
