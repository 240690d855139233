"""Which approvals are read from an object, and whom they name."""

from __future__ import annotations

from typing import Any

from eatool.kube.contract import ACTOR
from eatool.kube.rollout.approvals import approvals_of
from eatool.kube.rollout.resource import APPROVE, APPROVED_BY
from eatool.rollout.declared import EventSourcingRolloutSpec

ID = "server-2-projectiononly"
SPEC: dict[str, Any] = {
    "entityKind": "Server",
    "targetPhase": "AsyncCommands",
    "transitions": [
        {
            "to": "ProjectionOnly",
            "gates": [
                {"name": "board", "type": "Manual"},
                {"name": "night", "type": "Window", "opens": "22:00", "closes": "04:00"},
            ],
        }
    ],
}


def found(
    annotations: dict[str, str], *, stamped: bool = False, **spec: Any
) -> set[tuple[str, str, str, str]]:
    owned: dict[str, Any] = {f"f:{name}": {} for name in annotations}
    writes = [
        {"manager": "kubectl-edit", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {}}},
        {
            "manager": "kubectl-annotate",
            "time": "2026-01-02T00:00:00Z",
            "fieldsV1": {"f:metadata": {"f:annotations": owned}},
        },
    ]
    body = {"metadata": {"annotations": annotations, "managedFields": writes}}
    model = EventSourcingRolloutSpec.model_validate({**SPEC, **spec})
    return {
        (each.transition_id, each.gate, each.actor, each.via)
        for each in approvals_of(model, body, stamped=stamped)
    }


def test_nothing_said_nothing_approved() -> None:
    assert found({}) == set()
    assert found({APPROVE: ""}) == set()
    assert found({APPROVE: "/board"}) == set()


def test_a_transition_is_approved_at_every_gate_that_needs_a_person() -> None:
    assert {gate for _, gate, *_ in found({APPROVE: ID})} == {"promote", "held", "board"}


def test_one_gate_is_approved_by_name() -> None:
    told = found({APPROVE: f"{ID}/board"})
    assert told == {(ID, "board", "kubectl-annotate", "annotation")}


def test_who_it_was_is_believed_only_where_the_policy_stamps() -> None:
    claimed = {APPROVE: f"{ID}/board", APPROVED_BY: "mallory"}
    assert found(claimed) == {(ID, "board", "kubectl-annotate", "annotation")}
    assert found(claimed, stamped=True) == {(ID, "board", "mallory", "annotation")}
    unstamped = {APPROVE: f"{ID}/board"}
    assert found(unstamped, stamped=True) == {(ID, "board", "unknown", "annotation")}


def test_approvals_in_git_are_those_of_who_changed_the_spec() -> None:
    spec: dict[str, Any] = {"approvals": [{"transitionID": ID, "gate": "board", "ticket": "CHG-7"}]}
    assert found({}, **spec) == {(ID, "board", "kubectl-edit", "spec")}
    assert found({ACTOR: "alice"}, stamped=True, **spec) == {(ID, "board", "alice", "spec")}
