"""Every rule of the domain, with a change that it refuses and the words it uses."""

from __future__ import annotations

from typing import Any

import pytest
from tests.domain.world import World

app, edge = World.application, World.relation


OVERLAP = (
    "ALREADY_EXISTS spec.targetId: must not repeat a relation with the same ends and relationType "
    "at the same time (windows include both effectiveFrom and effectiveTo); "
    "Relation/r has it already"
)
CALLS = edge("application/shop", "calls", "application/erp")
IN_2020 = {"effectiveFrom": "2020-01-01T00:00:00Z", "effectiveTo": "2021-01-01T00:00:00Z"}

REFUSED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "sibling": (
        "Organization",
        "new",
        {"name": "ACME"},
        (
            "ALREADY_EXISTS spec.name: must be unique among the organizations with the "
            "same parent; "
            "Organization/acme has it already"
        ),
    ),
    "application name": (
        "Application",
        "new",
        app("shop"),
        (
            "ALREADY_EXISTS spec.name: must be unique among the applications of the "
            "namespace; Application/shop has it already"
        ),
    ),
    "own parent": (
        "Organization",
        "acme",
        {"name": "Acme", "parentId": "acme"},
        "CIRCULAR_REFERENCE spec.parentId: must not name the object itself",
    ),
    "own parent of a new one": (
        "Organization",
        "new",
        {"name": "New", "parentId": "new"},
        "CIRCULAR_REFERENCE spec.parentId: must not name the object itself",
    ),
    "loop": (
        "Organization",
        "acme",
        {"name": "Acme", "parentId": "team"},
        "CIRCULAR_REFERENCE spec.parentId: must not close a loop: acme -> team -> dept -> acme",
    ),
    "own lineage": (
        "DataEntity",
        "customer",
        {
            "name": "Customer",
            "classification": "restricted",
            "criticality": "high",
            "lineage": ["customer"],
        },
        "CIRCULAR_REFERENCE spec.lineage[0]: must not name the object itself",
    ),
    "same window": ("Relation", "new", CALLS | IN_2020, OVERLAP),
    "touching window": (
        "Relation",
        "new",
        CALLS | {"effectiveFrom": "2021-01-01T00:00:00Z"},
        OVERLAP,
    ),
    "no window": ("Relation", "new", CALLS, OVERLAP),
    "immutable": (
        "Relation",
        "r",
        CALLS | IN_2020 | {"relationType": "depends_on"},
        (
            "IMMUTABLE_FIELD spec.relationType: is immutable and must stay calls; delete "
            "and create "
            "instead"
        ),
    ),
    "verified in the future": (
        "Relation",
        "new",
        edge("organization/acme", "owns", "server/db", lastVerifiedAt="2026-02-01T00:00:00Z"),
        "RANGE spec.lastVerifiedAt: must not be in the future",
    ),
    "long name": (
        "Server",
        "x" * 64,
        {"hostname": "h", "environment": "dev", "criticality": "low"},
        "RANGE metadata.name: must be at most 63 characters",
    ),
}


@pytest.mark.parametrize(("kind", "name", "spec", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(
    populated: World, kind: str, name: str, spec: dict[str, Any], message: str
) -> None:
    populated.apply("Organization", "dept", {"name": "Dept", "parentId": "acme"})
    populated.apply("Organization", "team", {"name": "Team", "parentId": "dept"})
    populated.apply("Relation", "r", CALLS | IN_2020)
    assert populated.refused(kind, name, spec) == [message]


def test_all_complaints_come_together(populated: World) -> None:
    spec = app("Shop", capabilityId="nowhere")
    assert [line.split()[0] for line in populated.refused("Application", "x" * 64, spec)] == [
        "RANGE",
        "ALREADY_EXISTS",
        "REFERENCE_NOT_FOUND",
    ]
