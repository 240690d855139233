"""Governance: off by default; with everything on, the right words."""

from __future__ import annotations

from typing import Any

import pytest
from tests.domain.world import World, said, types

from eatool.domain.decision import Rejected
from eatool.domain.kinds import KINDS
from eatool.domain.policies import Policy

app, edge = World.application, World.relation


def test_policies_are_off_by_default(populated: World) -> None:
    populated.apply("Application", "erp", app("ERP", lifecycle="retired"))
    populated.apply("Application", "erp", app("ERP", lifecycle="active"))
    populated.apply("Application", "erp", app("ERP", dataClassification="public"))
    assert types(populated.delete("Application", "erp")) == ["ApplicationDeleted.v1"]


STATE = "INVALID_STATE_TRANSITION spec.lifecycle: must not go from "
REASON = ": annotate it with eatool.io/reason"
STRICT: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {"lifecycle": "deprecated"}, {}, []),
    (
        {},
        {"lifecycle": "planned"},
        {},
        [f"{STATE}active to planned; active may be followed by deprecated, retired"],
    ),
    (
        {"lifecycle": "retired"},
        {"lifecycle": "active"},
        {"override": "reactivate", "reason": "r"},
        [f"{STATE}retired to active; retired may be followed by nothing: it is final"],
    ),
    (
        {"lifecycle": "deprecated"},
        {},
        {},
        [
            (
                f"{STATE}deprecated to active; deprecated may be followed by retired; or set "
                "eatool.io/override: reactivate with a reason"
            )
        ],
    ),
    (
        {"lifecycle": "deprecated"},
        {},
        {"override": "reactivate"},
        [f"JUSTIFICATION_REQUIRED spec.lifecycle: the override reactivate needs a reason{REASON}"],
    ),
    ({"lifecycle": "deprecated"}, {}, {"override": "reactivate", "reason": "r"}, []),
    (
        {},
        {"dataClassification": "public", "criticality": "low"},
        {},
        [
            (
                f"JUSTIFICATION_REQUIRED spec.dataClassification: changing "
                f"dataClassification needs a "
                f"reason{REASON}"
            ),
            f"JUSTIFICATION_REQUIRED spec.criticality: changing criticality needs a reason{REASON}",
        ],
    ),
    ({}, {"dataClassification": "public"}, {"reason": "r"}, []),
    ({}, {"owner": "somebody else"}, {}, []),
]


@pytest.mark.parametrize(("before", "after", "request_", "messages"), STRICT)
def test_strict_policy_on_changes(
    world: World,
    before: dict[str, Any],
    after: dict[str, Any],
    request_: dict[str, Any],
    messages: list[str],
) -> None:
    world.apply("Application", "erp", app("ERP", **before))
    world.policy = Policy.strict(KINDS)
    decision = world.decide("Application", "erp", app("ERP", **after), **request_)
    assert (said(decision.errors) if isinstance(decision, Rejected) else []) == messages


def test_strict_policy_on_deletions_and_lowering(populated: World) -> None:
    populated.policy = Policy.strict(KINDS)
    decision = populated.decide_deletion("Application", "erp")
    assert isinstance(decision, Rejected)
    assert said(decision.errors) == [
        (
            "JUSTIFICATION_REQUIRED metadata.annotations: deleting an Application "
            "needs a reason"
            f"{REASON}"
        ),
        (
            "APPROVAL_REQUIRED metadata.annotations: deleting an Application needs "
            "an approval: "
            "annotate it with eatool.io/approval-id"
        ),
    ]
    populated.delete("Application", "erp", reason="gone", approval_id="ARB-1")
    populated.delete("Organization", "acme", reason="sold")
    data = {"name": "Customer", "classification": "internal", "criticality": "high"}
    assert [
        line.split()[0] for line in populated.refused("DataEntity", "customer", data, reason="r")
    ] == ["APPROVAL_REQUIRED"]
    populated.apply("DataEntity", "customer", data, reason="r", approval_id="ARB-2")
    populated.apply("DataEntity", "customer", data | {"classification": "restricted"}, reason="r")
