"""JSON Schema (draft-07) of what is around an event: metadata, envelope, headers.

These objects are open: a later release may add a member, and consumers ignore those that they do
not know. What is here stays.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from eatool.contract.events import DIALECT, METADATA
from eatool.domain.events import JsonObject
from eatool.publishing.cloudevents import DATA_CONTENT_TYPE, SEQUENCE_DIGITS, TYPE_PREFIX
from eatool.registry.change import ActorType, Source, Trust

#: Envelope of structured mode, without ``data``, which depends on the type.
ENVELOPE: Final = "CloudEvent"
#: User properties of binary mode.
HEADERS: Final = "CloudEventHeaders"
#: Document of plain JSON, without ``data``.
PLAIN: Final = "PlainEvent"


def _text(description: str, **keywords: Any) -> JsonObject:
    return {"description": description, "type": "string", **keywords}


def _values(values: type[StrEnum]) -> list[str]:
    return [value.value for value in values]


_UUID: Final = {"type": "string", "format": "uuid"}
_TIME: Final = {"type": "string", "format": "date-time", "pattern": "Z$"}
_TRACEPARENT: Final = {
    "description": "W3C trace context of the change.",
    "type": "string",
    "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
}

_OPTIONAL: Final[dict[str, JsonObject]] = {
    "correlationid": {"description": "What ties several changes together.", **_UUID},
    "causationid": {"description": "The command that caused the event.", **_UUID},
    "traceparent": _TRACEPARENT,
    "actortrust": _text("How far the actor can be believed.", enum=_values(Trust)),
}

_REQUIRED: Final[dict[str, JsonObject]] = {
    "specversion": _text("Version of CloudEvents.", enum=["1.0"]),
    "id": {"description": "Id of the event, the same on every re-send.", **_UUID},
    "source": _text("`/eatool/{namespace}/{entity type}`.", format="uri-reference"),
    "type": _text("Event type and version.", pattern=rf"^{TYPE_PREFIX.replace('.', '[.]')}"),
    "subject": _text("Name of the entity (`metadata.name`)."),
    "time": {"description": "When it happened.", **_TIME},
    "recordedtime": {"description": "When it was recorded.", **_TIME},
    "datacontenttype": _text("Media type of `data`.", enum=[DATA_CONTENT_TYPE]),
    "partitionkey": _text(
        "Stream: `{entity type}/{namespace}/{name}`. Order holds within it.",
        pattern="^[^/]+/[^/]+/[^/]+$",
    ),
    "sequence": _text(
        "Version in the stream: 1, 2, 3 without gaps, padded so that text compares as numbers.",
        pattern=f"^[0-9]{{{SEQUENCE_DIGITS}}}$",
    ),
    "position": _text("Place in the whole log.", pattern="^[0-9]+$"),
    "authtype": _text(
        "Kind of actor; `unknown` when nobody vouches for it.",
        enum=["user", "service_account", "system", "unknown"],
    ),
    "authid": _text("Who changed the entity."),
}


_PLAIN: Final[dict[str, JsonObject]] = {
    "id": _REQUIRED["id"],
    "type": _text("Event type and version."),
    "stream": _REQUIRED["partitionkey"],
    "sequence": {
        "description": "Version in the stream: 1, 2, 3 without gaps.",
        "type": "integer",
        "minimum": 1,
    },
    "position": {"description": "Place in the whole log.", "type": "integer", "minimum": 1},
    "time": _REQUIRED["time"],
    "recordedTime": _REQUIRED["recordedtime"],
    "actor": _REQUIRED["authid"],
}


def envelope_schemas() -> dict[str, JsonObject]:
    """Schemas by name: :data:`METADATA`, and the envelope of each content mode."""
    # In binary mode the transport has its own place for the media type.
    headers = {name: value for name, value in _REQUIRED.items() if name != "datacontenttype"}
    return {
        METADATA: _metadata(),
        ENVELOPE: _open(ENVELOPE, "An event in structured content mode.", _REQUIRED, _OPTIONAL),
        HEADERS: _open(HEADERS, "User properties in binary content mode.", headers, _OPTIONAL),
        PLAIN: _open(PLAIN, "An event as plain JSON.", _PLAIN, {}),
    }


def _metadata() -> JsonObject:
    required = {
        "uid": _text("Incarnation of the Kubernetes object."),
        "generation": {
            "description": "Generation of the object that asked for the change.",
            "type": "integer",
            "minimum": 1,
        },
        "schema_version": {
            "description": "Version of the event type as it was recorded.",
            "type": "integer",
            "minimum": 1,
        },
        "trust": _text("How far the recorded actor can be believed.", enum=_values(Trust)),
        "actor_type": _text(f"What kind of actor it was: {_so_far(ActorType)}."),
        "source": _text(f"Through which entrance the change came: {_so_far(Source)}."),
    }
    optional = {
        "previous_generation": {
            "description": "Generation recorded before; those in between were coalesced.",
            "type": "integer",
            "minimum": 1,
        },
        "field_manager": _text("The tool that wrote, as the API server names it."),
        "reason": _text("Why, as given with the change."),
        "approval_id": _text("The approval, as given with the change."),
        "override": _text("The rule that the change was allowed to override."),
        "corrects_event_id": _text("Id of the recorded event whose mistake this one makes good."),
        "spent": {
            "description": "What annotations of the object still said, but had counted for an "
            "earlier change: reason, approval_id, override, corrects_event_id.",
            "type": "object",
            "additionalProperties": {"type": "string"},
        },
        "occurred_at": {"description": "When the API server took the write.", **_TIME},
        "traceparent": _TRACEPARENT,
    }
    return _open(METADATA, "Provenance of an event.", required, optional)


def _so_far(values: type[StrEnum]) -> str:
    """Values that a consumer may meet; naming them as an ``enum`` would promise no others."""
    return f"{', '.join(_values(values))}; more may come"


def _open(
    title: str,
    description: str,
    required: dict[str, JsonObject],
    optional: dict[str, JsonObject],
) -> JsonObject:
    return {
        "$schema": DIALECT,
        "title": title,
        "description": description,
        "type": "object",
        "required": sorted(required),
        "properties": {**required, **optional},
    }
