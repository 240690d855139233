"""The AsyncAPI 3.0 document of what a registry publishes.

3.0.0 rather than 3.1.0, which only adds the binding of a transport that is not ours: every tool
for AsyncAPI 3 reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final

from pydantic.alias_generators import to_camel

from eatool import __version__
from eatool.contract.envelopes import ENVELOPE, HEADERS, PLAIN
from eatool.contract.subjects import Subject, subjects_of
from eatool.domain.events import JsonObject
from eatool.domain.upcasting import split
from eatool.publishing.cloudevents import (
    DATA_CONTENT_TYPE,
    STRUCTURED_CONTENT_TYPE,
    TYPE_PREFIX,
    ContentMode,
)
from eatool.publishing.topics import DEFAULT_TEMPLATE, TopicTemplate, encode_level

ASYNCAPI: Final = "3.0.0"
#: Versions of the binding specifications.
MQTT_BINDING: Final = "0.2.0"
SOLACE_BINDING: Final = "0.4.0"

_DESCRIPTION: Final = (
    "Every accepted change of a registry of enterprise-architecture entities, once recorded, is "
    "published as an event: at least once, in order within each stream. So is every step of a kind "
    "from an older registry to the event log (`rollout`). Keep the last `sequence` "
    "per stream (`partitionkey`) in the same transaction as your own effect: a number that is not "
    "higher is a re-send, a number that skips some means that events are missing."
)


@dataclass(frozen=True, slots=True)
class _Mode:
    """What a content mode makes of an event of one type."""

    title: str
    content_type: str
    payload: Callable[[str, str], JsonObject]
    headers: JsonObject | None
    correlation: str | None


def document(
    schemas: Mapping[str, JsonObject],
    *,
    template: str = DEFAULT_TEMPLATE,
    env: str | None = None,
    modes: Sequence[ContentMode] = tuple(ContentMode),
) -> JsonObject:
    """The document, without servers: those are the user's.

    ``schemas`` are the published schemas by name. Without ``env`` the environment is a parameter
    of each channel. Raises ``TopicTemplateError`` for a template that the relay would refuse.
    """
    TopicTemplate(template, env or "dev")
    subjects = subjects_of(schemas)
    channels = {
        name: _channel(together, template, env, modes)
        for name, together in _channel_subjects(subjects, template).items()
    }
    return {
        "asyncapi": ASYNCAPI,
        "id": "urn:eatool:registry",
        "info": {
            "title": "EATool registry events",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {
                "name": "Apache 2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
            "tags": [{"name": each.name, "description": each.description} for each in subjects],
        },
        "defaultContentType": DATA_CONTENT_TYPE,
        "channels": channels,
        "operations": {name: _operation(name) for name in channels},
        "components": {
            "messages": {
                _message_name(type_, mode): _message(each, type_, mode, schemas[type_])
                for each in subjects
                for type_ in each.types
                for mode in modes
            },
            "messageTraits": {mode.value: _trait(mode) for mode in modes},
            "schemas": {name: _component(schema) for name, schema in schemas.items()},
        },
    }


def _channel_subjects(subjects: Sequence[Subject], template: str) -> dict[str, list[Subject]]:
    """Subjects by channel: each has its own, unless topics do not tell them apart."""
    if "{entity_type}" in template:
        return {to_camel(each.entity_type): [each] for each in subjects}
    return {"events": list(subjects)}


def _channel(
    subjects: Sequence[Subject],
    template: str,
    env: str | None,
    modes: Sequence[ContentMode],
) -> JsonObject:
    names = [name for each in subjects for name in each.types]
    only = subjects[0] if len(subjects) == 1 else None
    address = template
    if env is not None:
        address = address.replace("{env}", encode_level(env))
    if only is not None:
        address = address.replace("{entity_type}", only.entity_type)
    types = sorted({split(name)[0] for name in names})
    described: dict[str, JsonObject] = {
        "env": {"description": "Environment of the registry.", "examples": ["dev", "prod"]},
        "namespace": {
            "description": "Kubernetes namespace of the entity; `-` for rollouts, which have none."
        },
        "entity_type": {"description": "Kind of the entity, or `rollout`."},
        "event_type": {"description": "Event type without its version.", "enum": types},
        "event_version": {
            "description": "Version of the event type.",
            "enum": sorted({f"v{split(name)[1]}" for name in names}),
        },
        "entity_id": {
            "description": only.identified
            if only
            else " Or: ".join(dict.fromkeys(each.identified for each in subjects))
        },
    }
    used = [name for _, name, _, _ in Formatter().parse(address) if name]
    return {
        "address": address,
        "title": only.name if only else "All kinds",
        "description": only.description if only else "Events of every kind, and of rollouts.",
        "messages": {
            _message_name(name, mode): {
                "$ref": f"#/components/messages/{_message_name(name, mode)}"
            }
            for name in names
            for mode in modes
        },
        "parameters": {name: described[name] for name in used},
    }


def _operation(channel: str) -> JsonObject:
    """What the registry does: consumers receive from the same channel.

    Neither binding specification has anything to say about channels.
    """
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "bindings": {
            "mqtt": {"qos": 1, "retain": False, "bindingVersion": MQTT_BINDING},
            "solace": {
                "bindingVersion": SOLACE_BINDING,
                "destinations": [{"destinationType": "topic", "deliveryMode": "persistent"}],
            },
        },
    }


def _message_name(name: str, mode: ContentMode) -> str:
    return f"{name}.{mode.value}"


def _message(subject: Subject, name: str, mode: ContentMode, schema: JsonObject) -> JsonObject:
    return {
        "name": name,
        "title": f"{name} ({_MODES[mode].title})",
        "summary": schema["description"],
        "tags": [{"name": subject.name}],
        "payload": _MODES[mode].payload(subject.entity_type, name),
        "traits": [{"$ref": f"#/components/messageTraits/{mode.value}"}],
    }


def _trait(mode: ContentMode) -> JsonObject:
    """What all messages of one content mode share."""
    shown = _MODES[mode]
    return {
        "contentType": shown.content_type,
        **({"headers": shown.headers} if shown.headers else {}),
        **({"correlationId": {"location": shown.correlation}} if shown.correlation else {}),
        "bindings": {"mqtt": {"payloadFormatIndicator": 1, "bindingVersion": MQTT_BINDING}},
    }


def _schema_reference(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


def _enveloped(envelope: str, type_: str, name: str) -> JsonObject:
    return {
        "allOf": [
            _schema_reference(envelope),
            {
                "type": "object",
                "required": ["data"],
                "properties": {"type": {"const": type_}, "data": _schema_reference(name)},
            },
        ]
    }


def _structured(entity_type: str, name: str) -> JsonObject:
    return _enveloped(ENVELOPE, f"{TYPE_PREFIX}{entity_type}.{name}", name)


_MODES: Final[Mapping[ContentMode, _Mode]] = {
    ContentMode.STRUCTURED: _Mode(
        "CloudEvents, structured",
        STRUCTURED_CONTENT_TYPE,
        _structured,
        None,
        "$message.payload#/correlationid",
    ),
    ContentMode.BINARY: _Mode(
        "CloudEvents, binary",
        DATA_CONTENT_TYPE,
        lambda _entity_type, name: _schema_reference(name),
        _schema_reference(HEADERS),
        "$message.header#/correlationid",
    ),
    ContentMode.JSON: _Mode(
        "plain JSON",
        DATA_CONTENT_TYPE,
        lambda _entity_type, name: _enveloped(PLAIN, name, name),
        None,
        None,
    ),
}


def _component(schema: JsonObject) -> JsonObject:
    """A published schema as a part of the document."""
    return {key: _inside(value) for key, value in schema.items() if key != "$schema"}


def _inside(value: Any) -> Any:
    """``value`` with references to files turned into references within the document."""
    if isinstance(value, dict):
        return dict(_references(value))
    return [_inside(item) for item in value] if isinstance(value, list) else value


def _references(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, member in value.items():
        if key == "$ref":
            yield key, _schema_reference(member.removesuffix(".json"))["$ref"]
        else:
            yield key, _inside(member)
