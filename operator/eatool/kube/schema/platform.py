"""The CustomResourceDefinitions of the platform group: columns and status beside each model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eatool.kube.platform.resources import (
    CATEGORY,
    EVENT_BROKER,
    EVENT_REPLAY,
    PARKED_STREAM,
    RESEND,
    Resource,
)
from eatool.kube.schema.definition import Definition, root_schema, validations
from eatool.kube.schema.status import conditions, counter, text
from eatool.kube.schema.structural import JsonObject, ordered, structural_schema
from eatool.publishing.declared import API_GROUP, API_VERSION

_KSTATUS = "Where it stands, in kstatus terms."
_AGE: JsonObject = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def _column(name: str, type_: str, path: str, *, wide: bool = False) -> JsonObject:
    column: JsonObject = {"name": name, "type": type_, "jsonPath": path}
    return {**column, "priority": 1} if wide else column


def _condition(name: str, type_: str, part: str = "status", *, wide: bool = False) -> JsonObject:
    return _column(name, "string", f'.status.conditions[?(@.type=="{type_}")].{part}', wide=wide)


def _time(description: str) -> JsonObject:
    return {"description": description, "type": "string", "format": "date-time"}


def _choice(description: str, *values: str) -> JsonObject:
    return {"description": description, "type": "string", "enum": list(values)}


_OBSERVED = counter(
    "Generation of the spec this status speaks of; -1 before the operator has seen the object.",
    minimum=-1,
)


@dataclass(frozen=True, slots=True)
class _Shown:
    """How objects of a resource present themselves."""

    columns: tuple[JsonObject, ...]
    selectable: tuple[str, ...]
    status: Mapping[str, JsonObject]


_SHOWN: Mapping[Resource, _Shown] = {
    EVENT_BROKER: _Shown(
        columns=(
            _column("Type", "string", ".spec.type"),
            _condition("Ready", "Ready"),
            _condition("Connected", "Connected"),
            _column("Circuit", "string", ".status.circuit"),
            _column("Lag", "integer", ".status.lagEvents"),
            # A date, which kubectl prints as an age: true at every look, and no write a second.
            _column("Behind", "date", ".status.oldestUnpublishedAt"),
            _column("Parked", "integer", ".status.parkedStreams"),
            _condition("Suspended", "Suspended"),
            _AGE,
            _column("Position", "integer", ".status.position", wide=True),
            _column("Address", "string", ".status.address", wide=True),
            _condition("Message", "Ready", "message", wide=True),
            _column("Error", "string", ".status.lastError", wide=True),
        ),
        selectable=(".spec.type", ".spec.suspended"),
        status={
            "observedGeneration": _OBSERVED,
            "circuit": _choice(
                "The circuit breaker: closed = events flow, open = nothing is sent until the next "
                "try, half_open = trying with one event.",
                "closed",
                "open",
                "half_open",
            ),
            "address": text("The address of spec.addresses in use."),
            "position": counter(
                "Every event of the log up to this position is at the broker, or parked."
            ),
            "head": counter("End of the log when the figures were read."),
            "lagEvents": counter(
                "Events of the log that this broker has not acknowledged; an upper bound above "
                "10,000 and where spec.select leaves some out."
            ),
            "lagSeconds": counter(
                "Age of the oldest of them when the figures were written; see oldestUnpublishedAt."
            ),
            "oldestUnpublishedAt": _time(
                "When the oldest event was recorded that this broker has not acknowledged; "
                "absent when there is none."
            ),
            "parkedStreams": counter("Entities that this broker is not sent any more."),
            "lastError": text("Why the last session failed; absent while all is well."),
            "conditions": conditions(
                _KSTATUS, "Ready, Connected, Suspended; Reconciling, Stalled only while true."
            ),
        },
    ),
    EVENT_REPLAY: _Shown(
        columns=(
            _column("Broker", "string", ".spec.broker"),
            _column("Prefix", "string", ".spec.topicPrefix"),
            _column("State", "string", ".status.state"),
            _column("Progress", "string", ".status.progress"),
            _column("Position", "integer", ".status.position"),
            _column("End", "integer", ".status.endPosition"),
            _AGE,
            _condition("Message", "Ready", "message", wide=True),
        ),
        selectable=(".spec.broker",),
        status={
            "observedGeneration": _OBSERVED,
            "state": _choice(
                "Pending = cannot start yet, Running, Paused (by the replay or its broker being "
                "suspended), Completed, Failed = ended without having sent everything.",
                "Pending",
                "Running",
                "Paused",
                "Completed",
                "Failed",
            ),
            "startPosition": counter("Exclusive start of the range; fixed before it started."),
            "endPosition": counter("Inclusive end of the range; fixed before it started."),
            "position": counter(
                "Every selected event up to here is at the broker; where it goes on."
            ),
            "progress": text("Share of the range that is done, such as 42%."),
            "parkedStreams": counter("Entities whose events the broker refused."),
            "startedAt": _time("When the range was fixed."),
            "completedAt": _time("When the last event was acknowledged."),
            "conditions": conditions(_KSTATUS, "Ready; Reconciling, Stalled only while true."),
        },
    ),
    PARKED_STREAM: _Shown(
        columns=(
            _column("Broker", "string", ".spec.broker"),
            _column("Stream", "string", ".spec.stream"),
            _column("State", "string", ".status.state"),
            _column("Waiting", "integer", ".status.waitingEvents"),
            _column("Parked", "date", ".status.parkedAt"),
            _column("Reason", "string", ".status.reason"),
        ),
        selectable=(".spec.broker", ".spec.stream"),
        status={
            "state": _choice(
                "Parked = nothing of it is sent; Resending = somebody asked for it.",
                "Parked",
                "Resending",
            ),
            "reason": text("What the broker said."),
            "attempts": counter("How often the event was sent before it was given up."),
            "firstPosition": counter("Log position of the first event that was not sent."),
            "firstVersion": counter("Version of the entity with that event."),
            "waitingEvents": counter("Events that will be sent when it is released."),
            "parkedAt": _time("When it was parked."),
            "lastHandledResend": text(f"The last value of the annotation {RESEND} acted on."),
        },
    ),
}


def platform_crd(resource: Resource) -> JsonObject:
    """The CRD of a resource as a JSON object, keys in reading order."""
    shown = _SHOWN[resource]
    return Definition(
        group=API_GROUP,
        version=API_VERSION,
        kind=resource.kind,
        plural=resource.plural,
        singular=resource.kind.lower(),
        short_names=resource.short_names,
        category=CATEGORY,
        columns=shown.columns,
        selectable=shown.selectable,
        schema=root_schema(
            resource.spec.__doc__ or resource.kind,
            name_max=resource.name_max,
            spec=platform_spec(resource),
            status=platform_status(resource),
        ),
    ).manifest()


def platform_spec(resource: Resource) -> JsonObject:
    """Structural schema of ``spec`` with its CEL rules."""
    return ordered(structural_schema(resource.spec) | validations(resource.cel))


def platform_status(resource: Resource) -> JsonObject:
    """Schema of ``status``."""
    schema: JsonObject = {
        "description": "What the operator has found. Written by the operator.",
        "type": "object",
        "properties": {name: ordered(field) for name, field in _SHOWN[resource].status.items()},
    }
    if "observedGeneration" in _SHOWN[resource].status:
        schema["default"] = {"observedGeneration": -1}
    return ordered(schema)
