"""Rows of the ledger and the events of its transitions, to and from their records."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import uuid5

import orjson
from sqlalchemy import Row

from eatool.domain.events import JsonObject
from eatool.domain.identity import ID_NAMESPACE
from eatool.rollout.ledger import (
    PHASE_CHANGED,
    Cause,
    NotAnnounced,
    Preparation,
    Standing,
    TransitionRecord,
    TransitionResult,
    stream_of,
)
from eatool.rollout.phases import Phase
from eatool.store.encoding import ACTOR_LIMIT
from eatool.store.port import NewEvent

#: Provenance of events that are about the registry itself.
METADATA: Final[JsonObject] = {"source": "system", "trust": "declared", "schema_version": 1}


def announced(standing: Standing, epoch: int) -> Preparation:
    """The transition that prepares ``epoch``; raises :class:`NotAnnounced`."""
    prepared = standing.preparation
    if prepared is None or prepared.epoch != epoch:
        raise NotAnnounced(
            f"{standing.aggregate_type}: epoch {epoch} is not being prepared; "
            f"the phase is {standing.phase} at epoch {standing.epoch}"
        )
    return prepared


def ended(
    standing: Standing, prepared: Preparation, now: datetime, *, aborted: str | None = None
) -> TransitionRecord:
    """The record of a transition that ends now, or was ``aborted`` for a reason."""
    cause = prepared.cause
    if aborted is not None:
        result = TransitionResult.ABORTED
        cause = replace(cause, reason=aborted)
    elif prepared.to.number > standing.phase.number:
        result = TransitionResult.PROMOTED
    else:
        result = TransitionResult.ROLLED_BACK
    return TransitionRecord(
        standing.aggregate_type,
        prepared.epoch,
        result,
        standing.phase,
        prepared.to,
        prepared.since,
        now,
        cause,
    )


def phase_changed(record: TransitionRecord) -> NewEvent:
    """The event of a transition; the same however often it is tried."""
    cause = record.cause
    identity = f"{stream_of(record.aggregate_type)}/{record.epoch}"
    return NewEvent(
        event_id=uuid5(ID_NAMESPACE, identity),
        type=PHASE_CHANGED,
        data={
            "from": record.source and record.source.value,
            "to": record.target.value,
            "epoch": record.epoch,
            "trigger": cause.trigger.value,
            "reason": cause.reason,
            "ticket": cause.ticket,
            "evidence": list(cause.evidence),
            "gates": list(cause.gates),
        },
        metadata=METADATA,
        actor=actor_of(cause.actor),
    )


def actor_of(name: str) -> str:
    """As events have it: a step is not refused for somebody's name."""
    return (name if name.isprintable() else ascii(name)[1:-1])[:ACTOR_LIMIT]


def text(cause: Cause) -> str:
    """A cause as the tables keep it."""
    return orjson.dumps(cause.to_json()).decode()


def standing(row: Row[Any]) -> Standing:
    """A row of ``rollout``."""
    preparation = None
    if row.preparing is not None:
        preparation = Preparation(
            Phase(row.preparing), row.announced, row.prepared_at, _cause(row.cause)
        )
    return Standing(row.aggregate_type, Phase(row.phase), row.epoch, row.since, preparation)


def transition(row: Row[Any]) -> TransitionRecord:
    """A row of ``rollout_history``."""
    return TransitionRecord(
        row.aggregate_type,
        row.epoch,
        TransitionResult(row.result),
        None if row.source is None else Phase(row.source),
        Phase(row.target),
        row.started_at,
        row.finished_at,
        _cause(row.cause),
        row.position,
    )


def _cause(stored: str) -> Cause:
    return Cause.from_json(orjson.loads(stored))
