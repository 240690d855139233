"""What follows from a relation and its ends: shown, never recorded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.domain.world import World, ref

from eatool.domain.enums import DataClassification, RelationEndpoint, RelationType
from eatool.domain.kind import EntitySpec
from eatool.domain.kinds import KINDS, by_kind
from eatool.domain.kinds.relation import RelationSpec
from eatool.domain.landscape import Fact

READS = World.relation("application/shop", "reads", "data_entity/customer")
RUNS_ON = World.relation("application/shop", "deployed_on", "server/db")
PART_OF = World.relation("organization/acme", "part_of", "organization/other")
SHOP, CUSTOMER = ref("Application", "shop"), ref("DataEntity", "customer")
classifications = st.sampled_from(DataClassification)


def effective(world: World, kind: str, name: str) -> EntitySpec:
    entity = ref(kind, name)
    derived: EntitySpec = by_kind(kind).derived(
        entity, world.registry.accepted(entity), world.registry
    )
    return derived


def classified(world: World, application: str, data: str) -> None:
    spec = World.application("Shop", capabilityId="sell", dataClassification=application)
    world.apply("Application", "shop", spec)
    data_entity = {"name": "Customer", "classification": data, "criticality": "high"}
    world.apply("DataEntity", "customer", data_entity)


def relate(world: World, spec: dict[str, Any]) -> RelationSpec:
    world.apply("Relation", "r", spec)
    shown = effective(world, "Relation", "r")
    assert isinstance(shown, RelationSpec)
    return shown


@given(application=classifications, data=classifications)
def test_a_relation_is_as_sensitive_as_its_higher_end(
    application: DataClassification, data: DataClassification
) -> None:
    world = World()
    world.apply("BusinessCapability", "sell", {"name": "Sell"})
    classified(world, application, data)
    accepted = world.apply("Relation", "r", READS)
    assert relate(world, READS).data_classification == max(
        application, data, key=list(DataClassification).index
    )
    assert accepted.depends_on == {
        Fact(SHOP, "data_classification"),
        Fact(CUSTOMER, "classification"),
    }
    recorded = world.registry.accepted(ref("Relation", "r"))
    assert recorded.data_classification is None, "it is shown, not recorded"


def test_its_own_classification_wins_and_depends_on_nobody(populated: World) -> None:
    classified(populated, "restricted", "restricted")
    own = READS | {"dataClassification": "public"}
    assert relate(populated, own).data_classification is DataClassification.PUBLIC
    assert populated.apply("Relation", "r", own).depends_on == frozenset()


def test_an_end_without_classification_adds_nothing(populated: World) -> None:
    assert relate(populated, RUNS_ON).data_classification is DataClassification.INTERNAL
    facts = populated.apply("Relation", "r", RUNS_ON).depends_on
    assert facts == {Fact(SHOP, "data_classification")}


def test_ends_without_any_classification_give_none(populated: World) -> None:
    populated.apply("Organization", "other", {"name": "Other"})
    assert relate(populated, PART_OF).data_classification is None
    facts = populated.apply("Relation", "r", PART_OF).depends_on
    assert facts == {Fact(ref("Organization", "acme"), "parent_id")}


@pytest.mark.parametrize("end", RelationEndpoint)
def test_every_kind_that_is_classified_counts_as_an_end(end: RelationEndpoint) -> None:
    """A kind that gets a classification must not be forgotten by the relations to it."""
    classified_in = [
        name
        for name, info in KINDS[end].spec.model_fields.items()
        if info.annotation is DataClassification
    ]
    spec = RelationSpec.model_construct(
        source_type=end,
        source_id="x",
        relation_type=RelationType.USES,
        target_type=RelationEndpoint.SERVER,
        target_id="y",
        data_classification=None,
    )
    facts = by_kind("Relation").depends_on(ref("Relation", "r"), spec)
    assert [fact.field for fact in facts] == classified_in
