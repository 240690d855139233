"""Columns and status of an EventSourcingRollout: a dashboard for people who read nothing else."""

from __future__ import annotations

from typing import Final

from eatool.kube.schema.showing import AGE, KSTATUS, OBSERVED, Shown, column, condition
from eatool.kube.schema.status import conditions, text
from eatool.kube.schema.structural import structural_schema
from eatool.rollout.status import RolloutStatus

ROLLOUT: Final = Shown(
    columns=(
        column("Kind", "string", ".spec.entityKind"),
        column("Phase", "string", ".status.phase"),
        column("Target", "string", ".spec.targetPhase"),
        column("State", "string", ".status.state"),
        column("Criteria", "string", ".status.criteriaSummary"),
        column("Parity", "string", ".status.parity"),
        column("Soak", "string", ".status.soak"),
        column("Epoch", "integer", ".status.phaseEpoch"),
        condition("Ready", "Ready"),
        AGE,
        column("Since", "date", ".status.phaseSince", wide=True),
        column("Transition", "string", ".status.transition.id", wide=True),
        # Of the condition: there is one even where nothing could be decided.
        condition("Message", "Ready", "message", wide=True),
    ),
    selectable=(".spec.entityKind", ".spec.targetPhase"),
    status={
        "observedGeneration": OBSERVED,
        **structural_schema(RolloutStatus, "status")["properties"],
        "parity": text(
            "Entities that differ between legacy table and log, rows that can be in no log if "
            "there are any, and the share compared: 0 at 100%, or 0, 3 in error at 100%."
        ),
        "soak": text("How long all criteria have passed, and have to: 14h of 24h."),
        "conditions": conditions(
            KSTATUS,
            "Ready, CriteriaMet, Approved, Paused, RollbackSafe; Reconciling, Stalled only while "
            "true; DropApproved while there is something to say about it.",
        ),
    },
)
