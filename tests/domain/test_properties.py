"""What holds for every valid spec of every kind."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel
from tests.domain.memory_landscape import MemoryLandscape
from tests.domain.strategies import NAMES, Raw, kinds, raw_specs

from eatool.domain.changes import changed, created
from eatool.domain.decide import decide
from eatool.domain.decision import Accepted, EntityState
from eatool.domain.events import EntityEvent
from eatool.domain.evolve import evolve, fold
from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntityKind, EntitySpec
from eatool.domain.kinds import KINDS
from eatool.domain.landscape import Request
from eatool.domain.parsing import parse

SETTINGS = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

kind_and_raw = kinds.flatmap(lambda kind: st.tuples(st.just(kind), raw_specs(kind)))
kind_and_two = kinds.flatmap(
    lambda kind: st.tuples(st.just(kind), raw_specs(kind), raw_specs(kind))
)


@dataclass
class Everything(MemoryLandscape):
    """A registry in which every reference resolves and no key is taken."""

    def alive(self, refs: Any) -> set[EntityRef]:
        return set(refs)


def recorded(events: Any) -> list[tuple[str, dict[str, Any], int]]:
    # Through JSON text, as in a log.
    return [
        (event.versioned_type(), json.loads(json.dumps(event.to_data())), version)
        for version, event in enumerate(events, 1)
    ]


@SETTINGS
@given(kind_and_raw)
def test_schema_never_refuses_what_the_domain_takes(case: tuple[EntityKind, Raw]) -> None:
    kind, raw = case
    schema = kind.spec.model_json_schema(by_alias=True)
    parse(kind, raw)
    without_nulls = json.loads(json.dumps(raw), object_hook=_drop_nulls)
    jsonschema.Draft202012Validator(schema).validate(without_nulls)


def _drop_nulls(value: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if item is not None}


@SETTINGS
@given(kind_and_raw)
def test_canonical_form_is_a_fixed_point(case: tuple[EntityKind, Raw]) -> None:
    kind, raw = case
    spec = parse(kind, raw)
    assert parse(kind, spec.model_dump(mode="json", by_alias=True)) == spec
    assert kind.spec.model_validate(spec.model_dump(mode="json"), by_name=True) == spec


@SETTINGS
@given(kind_and_two)
def test_folding_what_was_decided_gives_what_was_desired(
    case: tuple[EntityKind, Raw, Raw],
) -> None:
    kind, first, second = case
    if kind.immutable:
        fixed = {to_camel(name) for name in kind.immutable} | {"archimateRelationship"}
        second = {name: value for name, value in second.items() if name not in fixed}
        second |= {name: value for name, value in first.items() if name in fixed}
    ref = kind.ref("default", NAMES[kind.aggregate_type][0])
    old, new = (_without_self(ref, parse(kind, raw)) for raw in (first, second))
    state = EntityState(ref)
    events: list[EntityEvent[Any]] = []
    for desired in (old, new):
        decision = decide(kind, state, desired, landscape=Everything(), request=Request())
        assert isinstance(decision, Accepted), decision
        events += decision.events
        for event in decision.events:
            assert type(event).from_data(event.to_data(), kind.spec) == event
            state = evolve(state, event)
        assert state.spec == desired
        again = decide(kind, state, desired, landscape=Everything(), request=Request())
        assert isinstance(again, Accepted)
        assert again.events == ()
    assert fold(kind, ref, recorded(events)) == state


def _without_self(ref: EntityRef, spec: EntitySpec) -> EntitySpec:
    """The same without naming itself."""
    updates: dict[str, Any] = {}
    for name, mark in KINDS[ref.aggregate_type].references.items():
        value = getattr(spec, name)
        if mark.aggregate_type == ref.aggregate_type and isinstance(value, tuple):
            updates[name] = tuple(item for item in value if item != ref.name)
        elif mark.aggregate_type == ref.aggregate_type and value == ref.name:
            updates[name] = None
    return spec.model_copy(update=updates)


@SETTINGS
@given(kind_and_two)
def test_changes_are_split_without_loss_or_overlap(case: tuple[EntityKind, Raw, Raw]) -> None:
    kind, first, second = case
    old, new = parse(kind, first), parse(kind, second)
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    events = changed(kind, old, new)
    seen = [name for event in events for name in event.changes]
    assert sorted(seen) == sorted(name for name in after if before[name] != after[name])
    for event in events:
        for name, change in event.changes.items():
            assert (change.old, change.new) == (before[name], after[name])
            assert event.entity.model_dump(mode="json")[name] == after[name]
            assert kind.marked.get(name, type(event)) is type(event)
        assert all(not list(rule(event.entity)) for rule in kind.spec_rules)
    assert not events or events[-1].entity == new
    assert (events == ()) == (old == new)


@SETTINGS
@given(kind_and_raw)
def test_creation_lists_every_field_that_is_set(case: tuple[EntityKind, Raw]) -> None:
    kind, raw = case
    spec = parse(kind, raw)
    data = created(kind, spec).to_data()
    assert data["entity"] == spec.model_dump(mode="json")
    assert {name: change["new"] for name, change in data["changes"].items()} == {
        name: value for name, value in data["entity"].items() if value not in (None, [])
    }


def test_patterns_stay_within_re2() -> None:
    for kind in KINDS.values():
        text = json.dumps(kind.spec.model_json_schema(by_alias=True))
        for pattern in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', text):
            written = json.loads(pattern)
            assert not re.search(r"\(\?[=!<]|\\[1-9]|\(\?P", written), written
            assert all(int(n) <= 1000 for n in re.findall(r"\{\d*,?(\d+)\}", written))
