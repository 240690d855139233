"""The envelope against the rules of the CloudEvents 1.0 specification."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import orjson
import pytest
from tests.publishing.support import event, stream

from eatool.publishing.cloudevents import (
    CloudEventsEncoder,
    ContentMode,
    auth_type,
    context_attributes,
)
from eatool.publishing.topics import TopicTemplate
from eatool.store.memory import MemoryEventStore
from eatool.store.port import Append, RecordedEvent

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def recorded() -> RecordedEvent:
    store = MemoryEventStore()
    new = event(stream(1), 1, traceparent=TRACE, trust="authenticated")
    return store.append(Append(stream(1), 0, (new,))).events[0]


def structured(recorded: RecordedEvent) -> dict[str, Any]:
    message = CloudEventsEncoder(TopicTemplate())(recorded)
    assert message.content_type == "application/cloudevents+json"
    assert message.attributes == {}
    body: dict[str, Any] = orjson.loads(message.payload)
    return body


def test_attribute_names_and_values_follow_the_specification(recorded: RecordedEvent) -> None:
    attributes = context_attributes(recorded)
    for name, value in attributes.items():
        assert re.fullmatch("[a-z0-9]{1,20}", name), name
        assert isinstance(value, str)
        assert value
        assert value.isprintable()
    assert attributes["specversion"] == "1.0"
    assert {"id", "source", "type"} <= attributes.keys()
    assert "data" not in attributes


def test_structured_message(recorded: RecordedEvent) -> None:
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
    assert body["data"] == {**recorded.data, "metadata": recorded.metadata}
    time = datetime.fromisoformat(body["time"])
    assert body["time"].endswith("Z")
    assert time == recorded.recorded_at


def test_binary_message_carries_the_same_in_two_places(recorded: RecordedEvent) -> None:
    message = CloudEventsEncoder(TopicTemplate(), ContentMode.BINARY)(recorded)
    body = structured(recorded)
    assert message.content_type == body.pop("datacontenttype")
    assert orjson.loads(message.payload) == body.pop("data")
    assert message.attributes == body


def test_encoding_is_deterministic(recorded: RecordedEvent) -> None:
    encoder = CloudEventsEncoder(TopicTemplate())
    assert encoder(recorded) == encoder(recorded)


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
