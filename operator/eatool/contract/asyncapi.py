"""The AsyncAPI 3.0 document of what a registry publishes.

3.0.0 rather than 3.1.0, which only adds the binding of a transport that is not ours: every tool
for AsyncAPI 3 reads it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final

from pydantic.alias_generators import to_camel

from eatool import __version__
from eatool.contract.envelopes import ENVELOPE, HEADERS, PLAIN
from eatool.domain.events import JsonObject
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS, event_types
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
    "published as an event: at least once, in order within each stream. Keep the last `sequence` "
    "per stream (`partitionkey`) in the same transaction as your own effect: a number that is not "
    "higher is a re-send, a number that skips some means that events are missing."
)


@dataclass(frozen=True, slots=True)
class _Mode:
    """What a content mode makes of an event of one type."""

    title: str
    content_type: str
    payload: Callable[[EntityKind, str], JsonObject]
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
    versions = _versions(schemas)
    channels = {
        name: _channel(kinds, versions, template, env, modes)
        for name, kinds in _channel_kinds(template).items()
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
            "tags": [{"name": kind.kind, "description": kind.description} for kind in _kinds()],
        },
        "defaultContentType": DATA_CONTENT_TYPE,
        "channels": channels,
        "operations": {name: _operation(name) for name in channels},
        "components": {
            "messages": {
                _message_name(name, mode): _message(kind, name, mode, schemas[name])
                for kind in _kinds()
                for name in versions[kind.kind]
                for mode in modes
            },
            "messageTraits": {mode.value: _trait(mode) for mode in modes},
            "schemas": {name: _component(schema) for name, schema in schemas.items()},
        },
    }


def _kinds() -> list[EntityKind]:
    return list(KINDS.values())


def _versions(schemas: Mapping[str, JsonObject]) -> Mapping[str, list[str]]:
    """Versioned types of each kind, newest versions and older ones."""
    owner = {event.__name__: kind.kind for kind, event in event_types().values()}
    found: dict[str, list[str]] = defaultdict(list)
    for name in schemas:
        if "." in name:
            found[owner[split(name)[0]]].append(name)
    return found


def _channel_kinds(template: str) -> dict[str, list[EntityKind]]:
    """Kinds by channel: each has its own, unless topics do not tell them apart."""
    if "{entity_type}" in template:
        return {to_camel(kind.aggregate_type): [kind] for kind in _kinds()}
    return {"events": _kinds()}


def _channel(
    kinds: Sequence[EntityKind],
    versions: Mapping[str, list[str]],
    template: str,
    env: str | None,
    modes: Sequence[ContentMode],
) -> JsonObject:
    names = [name for kind in kinds for name in versions[kind.kind]]
    address = template
    if env is not None:
        address = address.replace("{env}", encode_level(env))
    if len(kinds) == 1:
        address = address.replace("{entity_type}", kinds[0].aggregate_type)
    types = sorted({split(name)[0] for name in names})
    described: dict[str, JsonObject] = {
        "env": {"description": "Environment of the registry.", "examples": ["dev", "prod"]},
        "namespace": {"description": "Kubernetes namespace of the entity."},
        "entity_type": {"description": "Kind of the entity."},
        "event_type": {"description": "Event type without its version.", "enum": types},
        "event_version": {
            "description": "Version of the event type.",
            "enum": sorted({f"v{split(name)[1]}" for name in names}),
        },
        "entity_id": {"description": "`metadata.name` of the entity."},
    }
    used = [name for _, name, _, _ in Formatter().parse(address) if name]
    title = kinds[0].kind if len(kinds) == 1 else "All kinds"
    return {
        "address": address,
        "title": title,
        "description": kinds[0].description if len(kinds) == 1 else "Events of every kind.",
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


def _message(kind: EntityKind, name: str, mode: ContentMode, schema: JsonObject) -> JsonObject:
    return {
        "name": name,
        "title": f"{name} ({_MODES[mode].title})",
        "summary": schema["description"],
        "tags": [{"name": kind.kind}],
        "payload": _MODES[mode].payload(kind, name),
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


def _structured(kind: EntityKind, name: str) -> JsonObject:
    return _enveloped(ENVELOPE, f"{TYPE_PREFIX}{kind.aggregate_type}.{name}", name)


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
        lambda _kind, name: _schema_reference(name),
        _schema_reference(HEADERS),
        "$message.header#/correlationid",
    ),
    ContentMode.JSON: _Mode(
        "plain JSON",
        DATA_CONTENT_TYPE,
        lambda _kind, name: _enveloped(PLAIN, name, name),
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
