"""Recorded events as CloudEvents 1.0, structured or binary, or as plain JSON.

The mapping is documented in ``docs/publishing.md``; it is a contract with consumers. Encoding is
deterministic: a re-send after a crash carries the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import orjson

from eatool.domain.events import JsonObject
from eatool.domain.identity import EntityRef
from eatool.domain.upcasting import UnknownEventType
from eatool.publishing.port import DEFAULT_DELIVERY, Delivery, Message, PermanentPublishError
from eatool.publishing.topics import TopicTemplate, split_type
from eatool.store.encoding import StoredEvent, Upcast, newest
from eatool.store.port import UnknownEventVersion

STRUCTURED_CONTENT_TYPE: Final = "application/cloudevents+json"
DATA_CONTENT_TYPE: Final = "application/json"
TYPE_PREFIX: Final = "io.eatool."
#: Digits of ``sequence``: zero-padded so that comparing strings compares numbers.
SEQUENCE_DIGITS: Final = 12

#: Metadata key -> context attribute, for what the log keeps in metadata.
FROM_METADATA: Final[Mapping[str, str]] = {
    "traceparent": "traceparent",
    "trust": "actortrust",
}

#: Stored event -> message; :class:`PermanentPublishError` when it has no legal form.
Encoder = Callable[[StoredEvent], Message]


class ContentMode(StrEnum):
    """Where the CloudEvents attributes travel."""

    #: In the payload, one JSON document: every MQTT version, every consumer.
    STRUCTURED = "structured"
    #: As MQTT 5 user properties; the payload is the event's data alone.
    BINARY = "binary"
    #: No CloudEvents: a flat JSON document for consumers that know no such thing.
    JSON = "json"

    @classmethod
    def of(cls, name: str) -> ContentMode:
        """The mode that an EventBroker calls ``name``, such as ``Structured``."""
        return cls(name.lower())


#: ``(versioned type, data, version to reach)`` -> type and data at that version; pure.
Downcast = Callable[[str, JsonObject, int], tuple[str, JsonObject]]


def _no_downcasters(type_: str, _data: JsonObject, to_version: int) -> tuple[str, JsonObject]:
    raise UnknownEventType(f"{type_}: no downcaster reaches v{to_version}")


def context_attributes(event: StoredEvent, type_: str, metadata: JsonObject) -> dict[str, str]:
    """The context attributes of ``event``; names and order are the same in both modes.

    ``type_`` is the versioned type as published, ``metadata`` that of the event, decoded.
    """
    aggregate_type, namespace, name = event.stream_id.split("/")
    recorded = timestamp(event.recorded_at)
    attributes = {
        "specversion": "1.0",
        "id": str(event.event_id),
        "source": _source(namespace, aggregate_type),
        "type": f"{TYPE_PREFIX}{aggregate_type}.{type_}",
        "subject": name,
        "time": metadata.get("occurred_at") or recorded,
        "recordedtime": recorded,
        "datacontenttype": DATA_CONTENT_TYPE,
        "partitionkey": event.stream_id,
        "sequence": f"{event.version:0{SEQUENCE_DIGITS}d}",
        "position": str(event.position),
        "authtype": auth_type(event.actor, metadata.get("trust")),
        "authid": event.actor,
    }
    if event.correlation_id is not None:
        attributes["correlationid"] = str(event.correlation_id)
    if event.causation_id is not None:
        attributes["causationid"] = str(event.causation_id)
    for key, attribute in FROM_METADATA.items():
        if value := metadata.get(key):
            attributes[attribute] = str(value)
    return attributes


def auth_type(actor: str, trust: str | None) -> str:
    """Value of the Auth Context extension; ``unknown`` when nobody vouches for the actor.

    ``trust`` is how far the recorded actor can be believed: ``authenticated`` (an API server or a
    token check vouches for it), ``observed`` or ``declared``.
    """
    if actor == "system":
        return "system"  # the registry itself
    if trust != "authenticated":
        return "unknown"
    if actor.startswith("system:serviceaccount:"):
        return "service_account"
    return "system" if actor.startswith("system:") else "user"


@lru_cache(maxsize=16)  # all events of a commit share their time
def timestamp(time: datetime) -> str:
    """RFC 3339 in UTC with ``Z``."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=4096)
def _source(namespace: str, aggregate_type: str) -> str:
    return f"/eatool/{quote(namespace, safe='')}/{quote(aggregate_type, safe='')}"


class CloudEventsEncoder:
    """Turns stored events into messages: topic by ``template``, envelope by ``mode``.

    Events of older schema versions go out as ``upcast`` makes them; an event that a newer
    release wrote goes out as written, so that a rolling upgrade stops nothing. Data is decoded
    only when it has to change: what is stored is canonical JSON already.

    ``accepted`` pins event types (without version) to the version their consumers can read: what
    is newer is downcast. What this release cannot downcast is refused, not sent in a form that
    breaks those consumers. ``delivery_of`` holds exceptions from ``delivery`` by event type.
    """

    def __init__(
        self,
        template: TopicTemplate,
        mode: ContentMode = ContentMode.STRUCTURED,
        *,
        upcast: Upcast = newest,
        downcast: Downcast = _no_downcasters,
        accepted: Mapping[str, int] = MappingProxyType({}),
        delivery: Delivery = DEFAULT_DELIVERY,
        delivery_of: Mapping[str, Delivery] = MappingProxyType({}),
    ) -> None:
        # Entities change more than once; filling in a topic costs as much as dumping the JSON.
        self._topic = lru_cache(maxsize=8192)(
            lambda stream_id, type_: template.topic(EntityRef.parse(stream_id), type_)
        )
        self._form = _FORMS[mode]
        self._upcast = upcast
        self._downcast = downcast
        self._accepted = accepted
        self._delivery = delivery
        self._delivery_of = delivery_of
        self._as_stored: set[str] = set()

    def __call__(self, event: StoredEvent) -> Message:
        """Encode one event.

        :class:`PermanentPublishError` when its topic does not fit, or its consumers are pinned to
        a version that this release cannot make of it.
        """
        type_, data = self._published(event)
        attributes = context_attributes(event, type_, orjson.loads(event.metadata))
        payload, content_type, sent = self._form(
            event, type_, attributes, _with_metadata(data, event.metadata)
        )
        delivery = self._delivery
        if self._delivery_of:
            delivery = self._delivery_of.get(split_type(type_)[0], delivery)
        return Message(
            self._topic(event.stream_id, type_),
            payload,
            content_type,
            sent,
            attributes["id"],
            event.stream_id,
            attributes.get("correlationid"),
            delivery,
        )

    def _published(self, event: StoredEvent) -> tuple[str, str]:
        """Type and data (JSON text) to publish."""
        if event.type in self._as_stored:
            return event.type, event.data
        name, version = split_type(event.type)
        pin = self._accepted.get(name)
        if version == f"v{pin}":
            self._as_stored.add(event.type)
            return event.type, event.data
        type_, data = self._cast(event, pin)
        if type_ == event.type:
            self._as_stored.add(type_)
            return type_, event.data
        return type_, orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode()

    def _cast(self, event: StoredEvent, pin: int | None) -> tuple[str, JsonObject]:
        try:
            type_, data = self._upcast(event.type, orjson.loads(event.data))
            return (type_, data) if pin is None else self._downcast(type_, data, pin)
        except (UnknownEventType, UnknownEventVersion) as error:
            if pin is None:
                return event.type, {}
            raise PermanentPublishError(f"consumers are pinned to v{pin}: {error}") from error


#: Payload, its media type, and the attributes that travel beside it.
_Form = tuple[bytes, str, Mapping[str, str]]
_NO_ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType({})


def _structured(_event: StoredEvent, _type: str, attributes: dict[str, str], data: str) -> _Form:
    payload = orjson.dumps({**attributes, "data": orjson.Fragment(data)})
    return payload, STRUCTURED_CONTENT_TYPE, _NO_ATTRIBUTES


def _binary(_event: StoredEvent, _type: str, attributes: dict[str, str], data: str) -> _Form:
    # The transport has its own place for the media type (MQTT 5 Content Type).
    beside = {key: value for key, value in attributes.items() if key != "datacontenttype"}
    return data.encode(), DATA_CONTENT_TYPE, beside


def _plain_json(event: StoredEvent, type_: str, attributes: dict[str, str], data: str) -> _Form:
    payload = orjson.dumps(
        {
            "id": attributes["id"],
            "type": type_,
            "stream": event.stream_id,
            "sequence": event.version,
            "position": event.position,
            "time": attributes["time"],
            "recordedTime": attributes["recordedtime"],
            "actor": event.actor,
            "data": orjson.Fragment(data),
        }
    )
    return payload, DATA_CONTENT_TYPE, _NO_ATTRIBUTES


_FORMS: Final = {
    ContentMode.STRUCTURED: _structured,
    ContentMode.BINARY: _binary,
    ContentMode.JSON: _plain_json,
}


def _with_metadata(data: str, metadata: str) -> str:
    """The JSON object ``data`` with one more member, ``metadata``; both are canonical JSON."""
    if '"metadata":' in data:
        # Perhaps a member of its own, which gives way as in any mapping.
        merged = {**orjson.loads(data), "metadata": orjson.Fragment(metadata)}
        return orjson.dumps(merged).decode()
    return f'{data[:-1]}{"," if len(data) > len("{}") else ""}"metadata":{metadata}}}'
