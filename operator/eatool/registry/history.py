"""The history of one entity: who changed what, when and why, and how it was at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from eatool.domain.events import FieldChange
from eatool.domain.identity import EntityRef
from eatool.registry.folding import Folded, Log, fold_events
from eatool.store.port import RecordedEvent


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as an auditor reads it.

    ``trust`` says how far ``actor`` can be believed. ``changes`` maps snake_case fields to old
    and new canonical values; a deletion has none.
    """

    position: int
    version: int
    type: str
    event_id: UUID
    recorded_at: datetime
    actor: str
    actor_type: str | None
    trust: str | None
    source: str | None
    reason: str | None
    approval_id: str | None
    correlation_id: UUID | None
    generation: int | None
    changes: Mapping[str, FieldChange]

    @classmethod
    def of(cls, event: RecordedEvent) -> Entry:
        """Read one recorded event."""
        told: Mapping[str, Any] = event.metadata
        return cls(
            position=event.position,
            version=event.version,
            type=event.type,
            event_id=event.event_id,
            recorded_at=event.recorded_at,
            actor=event.actor,
            actor_type=told.get("actor_type"),
            trust=told.get("trust"),
            source=told.get("source"),
            reason=told.get("reason"),
            approval_id=told.get("approval_id"),
            correlation_id=event.correlation_id,
            generation=told.get("generation"),
            changes={
                name: FieldChange(change["old"], change["new"])
                for name, change in event.data["changes"].items()
            },
        )


def history_of(log: Log, ref: EntityRef, *, until: datetime | None = None) -> Sequence[Entry]:
    """Every event of an entity, oldest first, over deletions; blocks."""
    return [Entry.of(event) for event in log.read_stream(ref.stream_id, until=until)]


def state_at(log: Log, ref: EntityRef, time: datetime) -> Folded:
    """The entity as the registry knew it at ``time``; blocks."""
    return fold_events(ref, log.read_stream(ref.stream_id, until=time))
