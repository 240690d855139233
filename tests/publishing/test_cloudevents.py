"""The envelope against the rules of the CloudEvents 1.0 specification."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
import pytest
from tests.publishing.support import event, stream

from eatool.domain.upcasting import UnknownEventType
from eatool.publishing.cloudevents import (
    CloudEventsEncoder,
    ContentMode,
    auth_type,
    context_attributes,
)
from eatool.publishing.port import Delivery
from eatool.publishing.topics import TopicTemplate
from eatool.store.encoding import StoredEvent, Upcast, newest
from eatool.store.memory import MemoryEventStore
from eatool.store.port import Append, NewEvent, UnknownEventVersion

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def recorded() -> StoredEvent:
    return stored(event(stream(1), 1, traceparent=TRACE, trust="authenticated"))


def stored(new: NewEvent) -> StoredEvent:
    store = MemoryEventStore()
    store.append(Append(stream(1), 0, (new,)))
    return store.read_stored()[0]


def structured(recorded: StoredEvent, upcast: Upcast = newest) -> dict[str, Any]:
    message = CloudEventsEncoder(TopicTemplate(), upcast=upcast)(recorded)
    assert message.content_type == "application/cloudevents+json"
    assert message.attributes == {}
    body: dict[str, Any] = orjson.loads(message.payload)
    return body


def test_attribute_names_and_values_follow_the_specification(recorded: StoredEvent) -> None:
    attributes = context_attributes(recorded, recorded.type, orjson.loads(recorded.metadata))
    for name, value in attributes.items():
        assert re.fullmatch("[a-z0-9]{1,20}", name), name
        assert isinstance(value, str)
        assert value
        assert value.isprintable()
    assert attributes["specversion"] == "1.0"
    assert {"id", "source", "type"} <= attributes.keys()
    assert "data" not in attributes


def test_structured_message(recorded: StoredEvent) -> None:
    body = structured(recorded)
    assert body["id"] == str(recorded.event_id)
    assert body["source"] == "/eatool/shop/application"
    assert body["type"] == "io.eatool.application.ApplicationCreated.v1"
    assert body["subject"] == "app-1"
    assert body["partitionkey"] == "application/shop/app-1"
    assert body["sequence"] == "000000000001"
    assert body["position"] == "1"
    assert body["traceparent"] == TRACE
    assert body["correlationid"] == str(recorded.correlation_id)
    assert "causationid" not in body
    assert (body["authtype"], body["authid"]) == ("user", "jane@example.com")
    data, metadata = orjson.loads(recorded.data), orjson.loads(recorded.metadata)
    assert body["data"] == {**data, "metadata": metadata}
    time = datetime.fromisoformat(body["time"])
    assert body["time"].endswith("Z")
    assert time == recorded.recorded_at


def test_binary_message_carries_the_same_in_two_places(recorded: StoredEvent) -> None:
    message = CloudEventsEncoder(TopicTemplate(), ContentMode.BINARY)(recorded)
    body = structured(recorded)
    assert message.content_type == body.pop("datacontenttype")
    assert orjson.loads(message.payload) == body.pop("data")
    assert message.attributes == body


def test_encoding_is_deterministic(recorded: StoredEvent) -> None:
    encoder = CloudEventsEncoder(TopicTemplate())
    assert encoder(recorded) == encoder(recorded)


@pytest.mark.parametrize(
    "data",
    [{}, {"a": 'say "metadata": {}'}, {"a": {"metadata": 1}}, {"metadata": "old", "z": "}"}],
)
@pytest.mark.parametrize("mode", ContentMode)
def test_metadata_joins_any_data(data: dict[str, Any], mode: ContentMode) -> None:
    recorded = stored(replace(event(stream(1), 1), data=data))
    message = CloudEventsEncoder(TopicTemplate(), mode)(recorded)
    body = orjson.loads(message.payload)
    published = body if mode is ContentMode.BINARY else body["data"]
    assert published == {**data, "metadata": {"generation": 1}}
    assert message.payload.count(b'"metadata":{"generation":1}') == 1


def test_older_versions_are_published_as_the_newest(recorded: StoredEvent) -> None:
    def upcast(type_: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return type_.replace(".v1", ".v2"), {**data, "added": True}

    body = structured(recorded, upcast)
    assert body["type"] == "io.eatool.application.ApplicationCreated.v2"
    assert body["data"]["added"] is True
    assert body["data"]["entity"] == orjson.loads(recorded.data)["entity"]


@pytest.mark.parametrize("unknown", [UnknownEventType, UnknownEventVersion])
def test_what_a_newer_release_wrote_goes_out_as_written(
    recorded: StoredEvent, unknown: type[Exception]
) -> None:
    def upcast(type_: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        raise unknown(type_)

    assert structured(recorded, upcast) == structured(recorded)


def test_plain_json_is_flat(recorded: StoredEvent) -> None:
    message = CloudEventsEncoder(TopicTemplate(), ContentMode.JSON)(recorded)
    assert (message.content_type, message.attributes) == ("application/json", {})
    body, envelope = orjson.loads(message.payload), structured(recorded)
    assert body == {
        "id": str(recorded.event_id),
        "type": "ApplicationCreated.v1",
        "stream": "application/shop/app-1",
        "sequence": 1,
        "position": 1,
        "time": envelope["time"],
        "recordedTime": envelope["recordedtime"],
        "actor": "jane@example.com",
        "data": envelope["data"],
    }


@pytest.mark.parametrize("mode", ContentMode)
def test_messages_tell_what_they_belong_to(recorded: StoredEvent, mode: ContentMode) -> None:
    encode = CloudEventsEncoder(TopicTemplate(), mode)
    assert encode(recorded).correlation_id == str(recorded.correlation_id)
    assert encode(recorded._replace(correlation_id=None)).correlation_id is None


def test_delivery_follows_the_event_type(recorded: StoredEvent) -> None:
    general, special = Delivery(ttl=60), Delivery(ttl=5, priority=9)
    encode = CloudEventsEncoder(
        TopicTemplate(), delivery=general, delivery_of={"ApplicationDeleted": special}
    )
    assert encode(recorded).delivery is general
    assert encode(recorded._replace(type="ApplicationDeleted.v7")).delivery is special


@pytest.mark.parametrize(
    ("actor", "trust", "expected"),
    [
        ("jane", None, "unknown"),
        ("jane", "authenticated", "user"),
        ("jane", "observed", "unknown"),
        ("system:serviceaccount:argocd:app", "authenticated", "service_account"),
        ("system:admin", "authenticated", "system"),
        ("system", None, "system"),
    ],
)
def test_auth_type(actor: str, trust: str | None, expected: str) -> None:
    assert auth_type(actor, trust) == expected
