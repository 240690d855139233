"""The CustomResourceDefinitions of the platform group: columns and status beside each model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from eatool.kube.platform.resources import (
    CATEGORY,
    EVENT_BROKER,
    EVENT_REPLAY,
    PARKED_STREAM,
    RESEND,
    Resource,
)
from eatool.kube.rollout.resource import EVENT_SOURCING_ROLLOUT
from eatool.kube.schema.definition import Definition, root_schema, validations
from eatool.kube.schema.rollout import ROLLOUT
from eatool.kube.schema.showing import (
    AGE,
    KSTATUS,
    OBSERVED,
    Shown,
    choice,
    column,
    condition,
    time,
)
from eatool.kube.schema.status import conditions, counter, text
from eatool.kube.schema.structural import JsonObject, ordered, structural_schema
from eatool.publishing.declared import API_GROUP, API_VERSION

_SHOWN: Mapping[Resource, Shown] = {
    EVENT_BROKER: Shown(
        columns=(
            column("Type", "string", ".spec.type"),
            condition("Ready", "Ready"),
            condition("Connected", "Connected"),
            column("Circuit", "string", ".status.circuit"),
            column("Lag", "integer", ".status.lagEvents"),
            # A date, which kubectl prints as an age: true at every look, and no write a second.
            column("Behind", "date", ".status.oldestUnpublishedAt"),
            column("Parked", "integer", ".status.parkedStreams"),
            condition("Suspended", "Suspended"),
            condition("Reason", "Ready", "reason"),
            AGE,
            column("Position", "integer", ".status.position", wide=True),
            column("Address", "string", ".status.address", wide=True),
            condition("Message", "Ready", "message", wide=True),
            column("Error", "string", ".status.lastError", wide=True),
        ),
        selectable=(".spec.type", ".spec.suspended"),
        status={
            "observedGeneration": OBSERVED,
            "circuit": choice(
                "The circuit breaker: closed = events flow, open = nothing is sent until the next "
                "try, half_open = trying with one event; it closes by itself when there is none.",
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
            "oldestUnpublishedAt": time(
                "When the oldest event was recorded that this broker has not acknowledged; "
                "absent when there is none."
            ),
            "parkedStreams": counter("Entities that this broker is not sent any more."),
            "lastError": text("Why the last session failed; absent while all is well."),
            "conditions": conditions(
                KSTATUS, "Ready, Connected, Suspended; Reconciling, Stalled only while true."
            ),
        },
    ),
    EVENT_REPLAY: Shown(
        columns=(
            column("Broker", "string", ".spec.broker"),
            column("Prefix", "string", ".spec.topicPrefix"),
            column("State", "string", ".status.state"),
            column("Progress", "string", ".status.progress"),
            column("Sent", "integer", ".status.eventsSent"),
            column("Position", "integer", ".status.position"),
            column("End", "integer", ".status.endPosition"),
            condition("Reason", "Ready", "reason"),
            AGE,
            condition("Message", "Ready", "message", wide=True),
        ),
        selectable=(".spec.broker",),
        status={
            "observedGeneration": OBSERVED,
            "state": choice(
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
            "eventsSent": counter(
                "Events that the broker has acknowledged; goes on after a restart, and counts "
                "again what a crash makes it send again."
            ),
            "progress": text("Share of the range that is done, such as 42%."),
            "parkedStreams": counter("Entities whose events the broker refused."),
            "startedAt": time("When the range was fixed."),
            "completedAt": time("When the last event was acknowledged."),
            "conditions": conditions(KSTATUS, "Ready; Reconciling, Stalled only while true."),
        },
    ),
    PARKED_STREAM: Shown(
        columns=(
            column("Broker", "string", ".spec.broker"),
            column("Stream", "string", ".spec.stream"),
            column("State", "string", ".status.state"),
            column("Waiting", "integer", ".status.waitingEvents"),
            column("Parked", "date", ".status.parkedAt"),
            column("Reason", "string", ".status.reason"),
        ),
        selectable=(".spec.broker", ".spec.stream"),
        status={
            "state": choice(
                "Parked = nothing of it is sent; Resending = somebody asked for it.",
                "Parked",
                "Resending",
            ),
            "reason": text("What the broker said."),
            "attempts": counter("How often the event was sent before it was given up."),
            "firstPosition": counter("Log position of the first event that was not sent."),
            "firstVersion": counter("Version of the entity with that event."),
            "waitingEvents": counter("Events that will be sent when it is released."),
            "parkedAt": time("When it was parked."),
            "lastHandledResend": text(f"The last value of the annotation {RESEND} acted on."),
        },
    ),
    EVENT_SOURCING_ROLLOUT: ROLLOUT,
}
#: Every resource of the group, in reading order.
DECLARED: Final = tuple(_SHOWN)


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
            rules=resource.rules,
        ),
        scope=resource.scope,
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
