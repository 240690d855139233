"""Approvals in a rollout's spec and annotations, and who gave them as far as that is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eatool.kube.provenance import provenance_of
from eatool.kube.rollout.resource import APPROVE, APPROVED_BY, annotations_of
from eatool.rollout.declared import EventSourcingRolloutSpec
from eatool.rollout.gates import HELD, PROMOTE, Approval

_ANNOTATION = f"f:{APPROVE}"


def approvals_of(
    spec: EventSourcingRolloutSpec, body: Mapping[str, Any], *, stamped: bool
) -> list[Approval]:
    """Every approval there is; which of them mean anything, their transition decides.

    ``stamped``: the admission policy guards the annotations that name people.
    """
    return [*_of_spec(spec, body, stamped=stamped), *_of_annotation(spec, body, stamped=stamped)]


def _of_spec(
    spec: EventSourcingRolloutSpec, body: Mapping[str, Any], *, stamped: bool
) -> Iterator[Approval]:
    if spec.approvals:
        actor = provenance_of(body, stamped=stamped).actor
        for each in spec.approvals:
            yield Approval(each.transition_id, each.gate, actor, "spec", each.reason, each.ticket)


def _of_annotation(
    spec: EventSourcingRolloutSpec, body: Mapping[str, Any], *, stamped: bool
) -> Iterator[Approval]:
    """``ID/GATE`` approves one gate, ``ID`` all that need a person."""
    identity, _, gate = annotations_of(body).get(APPROVE, "").partition("/")
    if not identity:
        return
    actor = _writer(body, stamped=stamped)
    for name in (gate,) if gate else _manual(spec):
        yield Approval(identity, name, actor, "annotation")


def _manual(spec: EventSourcingRolloutSpec) -> list[str]:
    declared = {
        gate.name for step in spec.transitions for gate in step.gates if gate.type == "Manual"
    }
    return [PROMOTE, HELD, *sorted(declared)]


def _writer(body: Mapping[str, Any], *, stamped: bool) -> str:
    if stamped:
        return annotations_of(body).get(APPROVED_BY, "unknown")
    writes = [
        (entry.get("time") or "", entry.get("manager") or "")
        for entry in body["metadata"].get("managedFields") or ()
        if _ANNOTATION
        in (entry.get("fieldsV1") or {}).get("f:metadata", {}).get("f:annotations", {})
    ]
    return max(writes)[1] if writes else "unknown"
