"""The status of every kind: written by the operator only, typed to the last field.

Everything in it is derived from the event log and can be thrown away. ``conditions`` follow
kstatus (``Ready``, ``Reconciling``, ``Stalled``), so ``kubectl wait``, Argo CD and Flux agree on
what a healthy entity is.
"""

from __future__ import annotations

from typing import Any

from eatool.kube.contract import RECONCILE_AT
from eatool.kube.schema.structural import JsonObject, ordered

#: Upper bounds of the lists in the status; the operator shortens, the schema enforces.
MAX_WAITING_FOR = 50
MAX_WARNINGS = 20

# Type and structure only: a canonical value must never make a status write fail.
_VALUE_KEYWORDS = {"description", "type", "format", "properties", "additionalProperties", "items"}


def status_schema(spec: JsonObject) -> JsonObject:
    """The schema of ``status``; ``spec`` is the kind's structural spec schema."""
    properties: JsonObject = {
        "observedGeneration": counter(
            "Generation of the spec this status speaks of; -1 before the operator has seen the "
            "object, so that nobody takes a new object for a finished one.",
            minimum=-1,
        ),
        "acceptedGeneration": counter(
            "Generation of the spec that was last accepted and recorded. Lower than "
            "observedGeneration while a newer spec is refused or waits."
        ),
        "skippedGenerations": counter(
            "How many generations were overwritten before the operator saw them; their "
            "intermediate values are not in the log."
        ),
        "streamVersion": counter("Version of the entity's event stream; 0 = nothing recorded."),
        "position": counter("Position of the entity's last event in the log."),
        "lastEventId": text("Id of the entity's last event (UUID)."),
        "lastEventType": text("Versioned type of the last event, e.g. ApplicationCreated.v1."),
        "correlationId": text("Correlation id of the last event: links the objects of one apply."),
        "legacyVersion": counter(
            "Version of the entity's row in the registry that is migrated away from, as long as "
            "the rollout of the kind writes changes there and not to the log."
        ),
        "commandId": text(
            "Id of the command that waits to be decided (UUID), while the rollout of the kind "
            "decides asynchronously."
        ),
        "lastHandledReconcileAt": text(
            f"The last value of the annotation {RECONCILE_AT} that was acted on."
        ),
        "waitingFor": texts(
            "References that are not recorded yet, as Kind/name; the change is accepted when the "
            "last of them arrives.",
            MAX_WAITING_FOR,
        ),
        "warnings": texts("Advice that blocks nothing.", MAX_WARNINGS),
        "effective": {
            **_values(spec),
            "description": "What the registry works with where it is not what the spec says: "
            "defaults, derived values, canonical forms.",
        },
        "conditions": conditions(
            "Where the entity stands, in kstatus terms.", "Ready, Reconciling, Stalled, Paused."
        ),
    }
    return ordered(
        {
            "description": "What the registry has recorded. Written by the operator.",
            "type": "object",
            # A fresh object without status counts as finished (kstatus); with this it does not.
            "default": {"observedGeneration": -1},
            "properties": {name: ordered(schema) for name, schema in properties.items()},
        }
    )


def counter(description: str, minimum: int = 0) -> JsonObject:
    """A 64-bit integer."""
    return {
        "description": description,
        "type": "integer",
        "format": "int64",
        "minimum": minimum,
    }


def text(description: str) -> JsonObject:
    """A string without limits."""
    return {"description": description, "type": "string"}


def texts(description: str, limit: int) -> JsonObject:
    """A list of at most ``limit`` strings, written as a whole."""
    return {
        "description": description,
        "type": "array",
        "items": {"type": "string"},
        "maxItems": limit,
        "x-kubernetes-list-type": "atomic",
    }


def _values(schema: JsonObject) -> JsonObject:
    """``schema`` without its rules, at every level."""
    result: JsonObject = {}
    for keyword, value in schema.items():
        if keyword == "properties":
            result[keyword] = {name: _values(child) for name, child in value.items()}
        elif keyword in ("additionalProperties", "items"):
            result[keyword] = _values(value)
        elif keyword in _VALUE_KEYWORDS or keyword.startswith("x-kubernetes-list-"):
            result[keyword] = value
    return ordered(result)


def conditions(description: str, types: str) -> JsonObject:
    """``metav1.Condition`` as every generator of the ecosystem writes it."""
    fields: dict[str, Any] = {
        "type": {
            "description": types,
            "type": "string",
            "maxLength": 316,
            "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
            r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        },
        "status": {
            "description": "True, False or Unknown.",
            "type": "string",
            "enum": ["True", "False", "Unknown"],
        },
        "observedGeneration": counter("Generation of the spec this condition speaks of."),
        "lastTransitionTime": {
            "description": "When the status of the condition last changed.",
            "type": "string",
            "format": "date-time",
        },
        "reason": {
            "description": "Why, as one CamelCase word.",
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "pattern": r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        },
        "message": {
            "description": "Why, for people.",
            "type": "string",
            "maxLength": 32768,
        },
    }
    return {
        "description": description,
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {name: ordered(schema) for name, schema in fields.items()},
        },
    }
