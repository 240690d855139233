"""JSON Schema (draft-07) of events that are about the registry itself: steps of rollouts.

What they are made of is open where it is told for people (criteria, gates): a later release may
add members there, and consumers ignore those that they do not know.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from eatool.contract.events import DIALECT, reference
from eatool.domain.events import JsonObject
from eatool.rollout.criteria import Outcome
from eatool.rollout.dropping import TABLE_DROPPED
from eatool.rollout.ledger import PHASE_CHANGED, Trigger
from eatool.rollout.phases import Phase

#: First part of the streams of these events, and the level of their topics.
ENTITY_TYPE: Final = "rollout"
#: Schema of ``metadata`` of events that no object of Kubernetes asked for.
METADATA: Final = "RegistryEventMetadata"

_PHASES: Final = [phase.value for phase in Phase]


def rollout_schemas() -> dict[str, JsonObject]:
    """Schemas by name: of ``data`` by versioned type, and :data:`METADATA`."""
    return {
        PHASE_CHANGED: _phase_changed(),
        TABLE_DROPPED: _table_dropped(),
        METADATA: _metadata(),
    }


def _phase_changed() -> JsonObject:
    properties: dict[str, JsonObject] = {
        "from": {
            "description": "Phase before; null when the kind was put under rollout.",
            "type": ["string", "null"],
            "enum": [*_PHASES, None],
        },
        "to": {"description": "Phase since.", "type": "string", "enum": _PHASES},
        "epoch": {
            "description": "Fencing epoch since; goes up with every step.",
            "type": "integer",
            "minimum": 1,
        },
        "trigger": _text(f"What set the step off: {_so_far(Trigger)}."),
        "reason": _text("Why, in a sentence."),
        "ticket": _text("As given with the approval.", nullable=True),
        "evidence": _list(
            "Criteria as they were.",
            {
                "name": _text("As in the spec of the rollout."),
                "result": _text(f"What it said: {_so_far(Outcome)}."),
                "demand": _text("What must hold."),
                "value": _text("The figure, as text; absent when there was none."),
                "samples": _count("Observations behind it."),
                "failures": _count("Evaluations that failed in a row."),
                "since": {**_text("Since when the result is what it is."), "format": "date-time"},
                "dryRun": {"description": "Shown, decides nothing.", "type": "boolean"},
                "message": _text("Why there was no figure."),
            },
            required=("name", "result", "demand"),
        ),
        "gates": _list(
            "Gates as they were.",
            {
                "name": _text("As in the spec of the rollout; promote and held are its own."),
                "type": _text("Manual, Window or DependsOn; more may come."),
                "state": _text("Open or Approved where it let pass; more may come."),
                "message": _text("What it waited for, or why it did not."),
                "actor": _text("Who approved."),
                "ticket": _text("As given with the approval."),
            },
            required=("name", "type", "state"),
        ),
        "metadata": reference(METADATA),
    }
    what = "A kind was put under rollout, or went from one phase to another."
    return _event(PHASE_CHANGED, what, properties)


def _table_dropped() -> JsonObject:
    properties: dict[str, JsonObject] = {
        "table": _text("What it was called since the kind retired."),
        "epoch": {
            "description": "Fencing epoch of the phase Retired.",
            "type": "integer",
            "minimum": 1,
        },
        "retired_at": {**_text("When the kind retired."), "format": "date-time"},
        "reason": _text("Why, in a sentence; the actor of the event approved it."),
        "metadata": reference(METADATA),
    }
    return _event(TABLE_DROPPED, "The legacy table of a retired kind was dropped.", properties)


def _event(title: str, description: str, properties: dict[str, JsonObject]) -> JsonObject:
    return {
        "$schema": DIALECT,
        "title": title,
        "description": description,
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }


def _metadata() -> JsonObject:
    return {
        "$schema": DIALECT,
        "title": METADATA,
        "description": "Provenance of an event that no object of Kubernetes asked for.",
        "type": "object",
        "required": ["schema_version", "source", "trust"],
        "properties": {
            "schema_version": {
                "description": "Version of the event type as it was recorded.",
                "type": "integer",
                "minimum": 1,
            },
            "source": _text("Through which entrance it came: system; more may come."),
            "trust": _text("How far the recorded actor can be believed; more may come."),
        },
    }


def _text(description: str, *, nullable: bool = False) -> JsonObject:
    return {"description": description, "type": ["string", "null"] if nullable else "string"}


def _count(description: str) -> JsonObject:
    return {"description": description, "type": "integer", "minimum": 0}


def _list(description: str, members: dict[str, Any], *, required: tuple[str, ...]) -> JsonObject:
    return {
        "description": description,
        "type": "array",
        "items": {"type": "object", "required": list(required), "properties": members},
    }


def _so_far(values: type[StrEnum]) -> str:
    """Values that a consumer may meet; naming them as an ``enum`` would promise no others."""
    return f"{', '.join(value.value for value in values)}; more may come"
