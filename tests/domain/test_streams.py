"""Folding streams and reading events of other versions."""

from __future__ import annotations

from typing import Any

import pytest

from eatool.domain.changes import created, deleted
from eatool.domain.decision import EntityState
from eatool.domain.evolve import BrokenStream, evolve, fold
from eatool.domain.kinds import by_kind, event_types, upcast
from eatool.domain.parsing import parse
from eatool.domain.upcasting import (
    BrokenUpcasters,
    UnknownEventType,
    Upcaster,
    UpcasterChain,
)

KIND = by_kind("Organization")
REF = KIND.ref("default", "acme")
SPEC = parse(KIND, {"name": "Acme"})
CREATED, DELETED = created(KIND, SPEC), deleted(KIND, SPEC)


def test_fold_goes_on_over_deletion_and_creation() -> None:
    stream = [
        (event.versioned_type(), event.to_data(), version)
        for version, event in enumerate([CREATED, DELETED, CREATED], 1)
    ]
    assert fold(KIND, REF, []) == EntityState(REF)
    assert fold(KIND, REF, stream[:2]) == EntityState(REF, 2)
    assert fold(KIND, REF, stream) == EntityState(REF, 3, SPEC)


@pytest.mark.parametrize("versions", [(2,), (1, 3), (1, 1)])
def test_fold_refuses_gaps(versions: tuple[int, ...]) -> None:
    with pytest.raises(BrokenStream, match=r"where . was expected"):
        fold(KIND, REF, [("OrganizationCreated.v1", {}, version) for version in versions])


def test_fold_refuses_events_of_other_kinds_and_releases() -> None:
    for foreign in ("ApplicationCreated.v1", "OrganizationCreated.v2"):
        with pytest.raises(UnknownEventType, match="Organization of this release has no such"):
            fold(KIND, REF, [(foreign, CREATED.to_data(), 1)])


def test_fold_names_the_fields_it_cannot_read_but_not_their_values() -> None:
    data = CREATED.to_data()
    data["entity"] = {**data["entity"], "contacts": ["s3cr3t"], "name": None}
    with pytest.raises(UnknownEventType) as caught:
        fold(KIND, REF, [("OrganizationCreated.v1", data, 1)])
    assert str(caught.value).startswith(
        "OrganizationCreated.v1: this release cannot read contacts.0, name; "
    )
    assert caught.value.__context__ is None


def test_fold_needs_nothing_of_a_deleted_entity() -> None:
    stream = [
        ("OrganizationCreated.v1", CREATED.to_data(), 1),
        ("OrganizationDeleted.v1", {"entity": {"obsolete": 1}, "changes": {}}, 2),
    ]
    assert fold(KIND, REF, stream) == EntityState(REF, 2)


def test_evolve_refuses_what_cannot_follow() -> None:
    alive = evolve(EntityState(REF), CREATED)
    with pytest.raises(BrokenStream):
        evolve(alive, CREATED)
    with pytest.raises(BrokenStream):
        evolve(EntityState(REF), DELETED)


def renamed(data: dict[str, Any]) -> dict[str, Any]:
    return {"title": data["name"]}


def counted(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "length": len(data["title"])}


FIRST, SECOND = Upcaster("Named", 1, renamed), Upcaster("Named", 2, counted)


def test_upcasting_runs_every_step_and_leaves_the_original() -> None:
    chain = UpcasterChain([SECOND, FIRST], {"Named": 3, "Other": 1})
    stored = {"name": "Acme"}
    assert chain.upcast("Named.v1", stored) == ("Named.v3", {"title": "Acme", "length": 4})
    assert chain.upcast("Named.v3", stored) == ("Named.v3", stored)
    assert chain.upcast("Other.v1", stored) == ("Other.v1", stored)
    assert stored == {"name": "Acme"}


@pytest.mark.parametrize(
    ("steps", "newest", "message"),
    [
        ([FIRST, FIRST, SECOND], 3, "two steps read Named.v1"),
        ([FIRST], 3, "no step reads Named.v2"),
        ([SECOND], 3, "no step reads Named.v1"),
        ([FIRST, SECOND], 2, "step from Named.v2 does not lead to a known version"),
        ([Upcaster("Gone", 1, renamed)], 1, "step from Gone.v1 does not lead"),
        ([Upcaster("Named", 0, renamed)], 1, "step from Named.v0 does not lead"),
    ],
)
def test_broken_chains_do_not_load(steps: list[Upcaster], newest: int, message: str) -> None:
    with pytest.raises(BrokenUpcasters, match=message):
        UpcasterChain(steps, {"Named": newest})


@pytest.mark.parametrize(
    ("versioned_type", "message"),
    [
        ("OrganizationCreated.v2", "this release reads up to OrganizationCreated.v1"),
        ("ViewCreated.v1", "this release knows no event ViewCreated"),
        ("OrganizationCreated", "is not written Type.vN"),
        ("OrganizationCreated.v0", "is not written Type.vN"),
    ],
)
def test_unknown_types_and_versions_say_so(versioned_type: str, message: str) -> None:
    with pytest.raises(UnknownEventType, match=message):
        upcast(versioned_type, {})


def test_every_type_of_this_release_is_readable() -> None:
    for versioned_type in event_types():
        assert upcast(versioned_type, {}) == (versioned_type, {})
