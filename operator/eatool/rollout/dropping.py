"""Whether a retired table may be dropped: a person's word for this very table, and its time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import uuid5

from eatool.domain.identity import ID_NAMESPACE
from eatool.rollout.declared import EventSourcingRolloutSpec
from eatool.rollout.ledger import Standing, stream_of
from eatool.rollout.ledger_rows import METADATA, actor_of
from eatool.rollout.phases import Phase
from eatool.store.port import NewEvent

#: Versioned type of the event that records that a retired table is gone.
TABLE_DROPPED: Final = "LegacyTableDropped.v1"


@dataclass(frozen=True, slots=True)
class DropApproval:
    """What the spec says about dropping; ``reason`` is CamelCase."""

    given: bool
    reason: str
    message: str


def drop_approval(
    spec: EventSourcingRolloutSpec, phase: Phase, table: str | None
) -> DropApproval | None:
    """Judge ``spec.retire.approveDrop``; ``None`` when there is nothing to say about it.

    ``table``: name of the retired table while it is there. It has the day of the retirement in it,
    so that a word given before, or for another table, drops nothing.
    """
    named = spec.retire.approve_drop if spec.retire else None
    if phase is not Phase.RETIRED:
        if named is None:
            return None
        message = f"spec.retire.approveDrop names {named}, but no table is retired yet"
        return DropApproval(given=False, reason="NothingRetired", message=message)
    if table is None:
        return None
    if named is None:
        message = f"the legacy table is kept as {table} until spec.retire.approveDrop names it"
        return DropApproval(given=False, reason="Waiting", message=message)
    if named != table:
        message = f"spec.retire.approveDrop names {named}, but the retired table is {table}"
        return DropApproval(given=False, reason="NamesAnotherTable", message=message)
    message = f"spec.retire.approveDrop names {table}"
    return DropApproval(given=True, reason="Approved", message=message)


def table_dropped(standing: Standing, table: str, actor: str, at: datetime) -> NewEvent:
    """The event of a drop at ``at``, on the word of ``actor``."""
    return NewEvent(
        event_id=uuid5(ID_NAMESPACE, f"{stream_of(standing.aggregate_type)}/{table}/dropped"),
        type=TABLE_DROPPED,
        data={
            "table": table,
            "epoch": standing.epoch,
            "retired_at": standing.since.isoformat(),
            "reason": f"spec.retire.approveDrop names it, {(at - standing.since).days} days after",
        },
        metadata=METADATA,
        actor=actor_of(actor),
    )
