"""Discovery, the registry of event types, and declarations that must not load."""

from __future__ import annotations

from dataclasses import fields

import pytest

from eatool.domain.events import Created, StateChanged
from eatool.domain.kind import Column, EntityKind
from eatool.domain.kinds import KINDS, by_kind, event_types, index_events, index_kinds
from eatool.domain.kinds.application import ApplicationSpec
from eatool.domain.kinds.organization import OrganizationCreated
from eatool.domain.kinds.relation import RelationRescheduled

APPLICATION = by_kind("Application")


def variant(**changes: object) -> EntityKind:
    values = {
        item.name: getattr(APPLICATION, item.name) for item in fields(EntityKind) if item.init
    }
    return EntityKind(**values | changes)


def test_nine_kinds_are_discovered() -> None:
    assert list(KINDS) == sorted(KINDS)
    assert {kind.aggregate_type: kind.table for kind in KINDS.values()} == {
        "application": "applications",
        "application_interface": "application_interfaces",
        "application_service": "application_services",
        "business_capability": "business_capabilities",
        "data_entity": "data_entities",
        "integration": "integrations",
        "organization": "organizations",
        "relation": "relations",
        "server": "servers",
    }
    with pytest.raises(KeyError):
        by_kind("View")


def test_references_name_known_kinds() -> None:
    for kind in KINDS.values():
        for mark in kind.references.values():
            assert mark.aggregate_type in KINDS or mark.type_field in kind.spec.model_fields


def test_event_types_are_found_by_versioned_type() -> None:
    kind, event = event_types()["OrganizationCreated.v1"]
    assert (kind.kind, event) == ("Organization", OrganizationCreated)
    assert by_kind("Relation").marked["effective_to"] is RelationRescheduled


def test_names_that_tell_kinds_apart_are_not_shared() -> None:
    with pytest.raises(TypeError, match="share the aggregate type 'application'"):
        index_kinds([APPLICATION, variant(path="apps")])
    with pytest.raises(TypeError, match="App and Application share the event Application"):
        index_events([APPLICATION, variant(kind="App", aggregate_type="app")])


def test_broken_declarations_do_not_load() -> None:
    class SecondCreated(Created[ApplicationSpec]):
        pass

    class ColourChanged(StateChanged[ApplicationSpec]):
        field = "colour"

    with pytest.raises(TypeError, match="App must be application in PascalCase"):
        variant(kind="App")
    with pytest.raises(TypeError, match="exactly one Created"):
        variant(events=(*APPLICATION.events, SecondCreated))
    with pytest.raises(TypeError, match=r"fields its spec does not have: .*colour"):
        variant(events=(*APPLICATION.events, ColourChanged))
    with pytest.raises(TypeError, match=r"fields its spec does not have: .*size"):
        variant(columns=(Column("Size", "size"),))


def test_unique_keys_fold_case_and_composition() -> None:
    organization = by_kind("Organization")
    spec = organization.spec.model_validate({"name": "Stra\u00dfe e\u0301"})
    same = organization.spec.model_validate({"name": "STRASSE \u00c9"})
    assert organization.unique_keys(spec) == organization.unique_keys(same)
    child = spec.model_copy(update={"parent_id": "acme"})
    assert organization.unique_keys(child) != organization.unique_keys(spec)
