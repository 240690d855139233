"""Brokers, replays and parked streams on the real API server: what it takes, refuses and shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.crds.conftest import CRDS
from tests.crds.server import MERGE, JsonObject, Kubectl, causes, declared

from eatool.dev.apiclient import ApiClient, Reply
from eatool.dev.controlplane import ControlPlane
from eatool.kube.platform.resources import (
    EVENT_BROKER,
    EVENT_REPLAY,
    PARKED_STREAM,
    RESOURCES,
    Resource,
)
from eatool.publishing.declared import API_GROUP, API_VERSION

MQTT: JsonObject = {"type": "mqtt", "addresses": ["mqtt://broker.example:1883"]}
MQTTS: JsonObject = {"type": "mqtt", "addresses": ["mqtts://broker.example"]}
SOLACE: JsonObject = {"type": "solace", "addresses": ["tcp://broker.example:55555"]}
SOLACES: JsonObject = {"type": "solace", "addresses": ["tcps://[::1]:55443"]}
REPLAY: JsonObject = {"broker": "integration", "topicPrefix": "replay/2026"}
PARKED: JsonObject = {"broker": "integration", "stream": "application/default/billing"}
BASIC: JsonObject = {"basic": {"name": "login"}}
TOKEN: JsonObject = {"oauth2": {"name": "login", "key": "token"}}
EXAMPLES = Path(__file__).parents[2] / "examples" / "platform"


@dataclass(frozen=True)
class Case:
    """A spec, and for a rule about a change what is stored ``before``."""

    resource: Resource
    spec: JsonObject
    field: str = ""
    message: str = ""
    before: JsonObject | None = None

    def __str__(self) -> str:
        return f"{self.resource.kind}-{self.field}-{self.message}".replace(" ", "_")[:80]


def broker(field: str, message: str, base: JsonObject, /, **changes: Any) -> Case:
    return Case(EVENT_BROKER, {**base, **changes}, f"spec.{field}", message)


def changed(field: str, message: str, resource: Resource, before: JsonObject, **spec: Any) -> Case:
    return Case(resource, spec, f"spec.{field}".rstrip("."), message, before)


_PLACEHOLDER = "topicTemplate has a placeholder that does not exist; legal are {entity_id}"

BY_RULE = (
    changed("type", "type is immutable; create another EventBroker", EVENT_BROKER, MQTT, **SOLACE),
    broker("addresses", "addresses must be mqtt:// or mqtts://", MQTT, addresses=["tcp://b"]),
    broker("addresses", "addresses must be mqtt:// or mqtts://", SOLACE, addresses=["mqtt://b"]),
    broker("addresses", "the port of an address must be from", MQTT, addresses=["mqtt://b:70000"]),
    broker(
        "addresses", "the port of an address must be from", SOLACES, addresses=["tcps://[::1]:0"]
    ),
    broker("tls", "tls needs addresses with mqtts:// or tcps://", MQTT, tls={}),
    broker("solace", "solace is for type solace only", MQTT, solace={"messageVpn": "a"}),
    broker("mqtt", "mqtt is for type mqtt only", SOLACE, mqtt={"qos": 1}),
    broker(
        "credentials",
        "credentials must be one of basic and oauth2",
        SOLACES,
        credentials={**BASIC, **TOKEN},
    ),
    broker("credentials", "credentials.oauth2 needs type solace", MQTTS, credentials=TOKEN),
    broker("credentials", "credentials.oauth2 needs type solace", SOLACE, credentials=TOKEN),
    broker(
        "contentMode",
        "contentMode Binary needs mqtt.version 5: MQTT 3.1.1 has no properties",
        MQTT,
        contentMode="Binary",
        mqtt={"version": "3.1.1"},
    ),
    broker("topicTemplate", _PLACEHOLDER, MQTT, topicTemplate="a/{entity_id}/{tenant}"),
    broker("topicTemplate", _PLACEHOLDER, MQTT, topicTemplate="a/{entity_id}/{env!r}"),
    broker("topicTemplate", _PLACEHOLDER, MQTT, topicTemplate="a/{entity_id}/}{"),
    broker(
        "topicTemplate",
        "topicTemplate gives every event the same topic",
        MQTT,
        topicTemplate="a/{env}/{namespace}",
    ),
    broker(
        "topicTemplate", "topicTemplate has an empty level", MQTT, topicTemplate="a//{entity_id}"
    ),
    broker(
        "topicTemplate",
        "topicTemplate must have at most 128 levels for type solace",
        SOLACE,
        topicTemplate="{entity_id}" + "/a" * 128,
    ),
    broker(
        "topicTemplate",
        "topicTemplate must have no dot with mqtt.encodeDots",
        MQTT,
        topicTemplate="a.b/{entity_id}",
        mqtt={"encodeDots": True},
    ),
    broker("select.kinds", "select.kinds must be of", MQTT, select={"kinds": ["Aplication"]}),
    broker(
        "select.eventTypes",
        "select.eventTypes must be event types",
        MQTT,
        select={"eventTypes": ["ApplicationCreate"]},
    ),
    *(
        broker(
            field,
            f"{field} must name {what}",
            MQTT,
            **{field: [more | {"eventType": name} for name in names]},
        )
        for field, more in (
            ("acceptedVersions", {"version": 1}),
            ("eventDelivery", {"priority": 1}),
        )
        for what, names in (
            ("event types", ["ApplicationGone"]),
            ("each event type once", ["ServerCreated", "ServerCreated"]),
        )
    ),
    broker(
        "start",
        "start.timestamp is for start.position Timestamp, which needs it",
        MQTT,
        start={"position": "Timestamp"},
    ),
    broker(
        "start",
        "start.timestamp is for start.position Timestamp, which needs it",
        MQTT,
        start={"position": "Latest", "timestamp": "2026-01-01T00:00:00Z"},
    ),
    changed("broker", "broker is immutable", EVENT_REPLAY, REPLAY, **{**REPLAY, "broker": "b"}),
    changed(
        "topicPrefix",
        "topicPrefix is immutable",
        EVENT_REPLAY,
        REPLAY,
        **{**REPLAY, "topicPrefix": "b"},
    ),
    changed("range", "range is immutable", EVENT_REPLAY, REPLAY, **REPLAY, range={"toPosition": 7}),
    changed(
        "select",
        "select is immutable",
        EVENT_REPLAY,
        REPLAY,
        **REPLAY,
        select={"kinds": ["Server"]},
    ),
    changed(
        "streams",
        "streams is immutable",
        EVENT_REPLAY,
        {**REPLAY, "streams": ["server/a/b"]},
        **REPLAY,
    ),
    Case(
        EVENT_REPLAY,
        {**REPLAY, "range": {"toPosition": 7, "toTime": "2026-01-01T00:00:00Z"}},
        "spec.range",
        "range must give each end by position or by time, not by both",
    ),
    *(
        Case(EVENT_REPLAY, {**REPLAY, "range": given}, "spec.range", message)
        for given, message in (
            ({"afterPosition": 8, "toPosition": 7}, "range.afterPosition must not be later"),
            (
                {"afterTime": "2026-02-01T00:00:00Z", "toTime": "2026-01-01T00:00:00Z"},
                "range.afterTime must not be later",
            ),
        )
    ),
    Case(
        EVENT_REPLAY,
        {**REPLAY, "select": {"kinds": ["Servers"]}},
        "spec.select.kinds",
        "select.kinds must be of",
    ),
    Case(
        EVENT_REPLAY,
        {**REPLAY, "select": {"eventTypes": ["ServerMade"]}},
        "spec.select.eventTypes",
        "select.eventTypes must be event types",
    ),
    Case(
        EVENT_REPLAY,
        {**REPLAY, "streams": ["servers/default/a"]},
        "spec.streams",
        "streams must begin with one of",
    ),
    changed(
        "",
        "spec is immutable; the operator writes it",
        PARKED_STREAM,
        PARKED,
        **{**PARKED, "broker": "b"},
    ),
)

#: One of each family of types and words; the rest is the same generator.
BY_SCHEMA = (
    broker("type", 'supported values: "solace", "mqtt"', MQTT, type="kafka"),
    broker("addresses", "should have at least 1 items", MQTT, addresses=[]),
    broker("addresses[0]", "credentials belong into a Secret", MQTT, addresses=["mqtt://u:p@b"]),
    broker("credentials.basic.name", "Required value", MQTT, credentials={"basic": {}}),
    broker("window", "should be less than or equal to 10000", MQTT, window=10_001),
    broker("mqtt.qos", "should be less than or equal to 2", MQTT, mqtt={"qos": 3}),
    broker("topicTemplate", "topic levels without wildcards", MQTT, topicTemplate="{entity_id}/#"),
    broker("topicTemplate", "topic levels without wildcards", MQTT, topicTemplate="/{entity_id}"),
    broker("topicTemplate", "topic levels without wildcards", MQTT, topicTemplate="$a/{entity_id}"),
    Case(EVENT_REPLAY, {"broker": "b"}, "spec.topicPrefix", "Required value"),
    Case(EVENT_REPLAY, {**REPLAY, "topicPrefix": "a/{env}"}, "spec.topicPrefix", "topic levels"),
    Case(EVENT_REPLAY, {**REPLAY, "streams": ["billing"]}, "spec.streams[0]", "type/namespace"),
    Case(PARKED_STREAM, {"broker": "b"}, "spec.stream", "Required value"),
)

TAKEN = (
    Case(EVENT_BROKER, MQTT),
    Case(EVENT_BROKER, {**MQTTS, "tls": {"minimumVersion": "TLSv1.3"}, "credentials": BASIC}),
    Case(EVENT_BROKER, {**SOLACES, "credentials": TOKEN, "solace": {"messageVpn": "a"}}),
    Case(EVENT_BROKER, {**MQTT, "contentMode": "Binary", "mqtt": {"version": "5"}}),
    Case(EVENT_BROKER, {**MQTT, "contentMode": "JSON", "mqtt": {"version": "3.1.1"}}),
    Case(EVENT_BROKER, {**MQTT, "topicTemplate": "a/{env}-x/{entity_type}/{event_version}"}),
    Case(EVENT_BROKER, {**MQTT, "start": {"position": "Latest"}}),
    Case(EVENT_BROKER, {**MQTT, "addresses": ["mqtt://b:1", "mqtt://b:65535", "mqtt://[::1]"]}),
    Case(EVENT_BROKER, {**SOLACE, "topicTemplate": "{entity_id}" + "/a" * 127}),
    Case(EVENT_BROKER, {**MQTT, "topicTemplate": "a/{entity_id}", "mqtt": {"encodeDots": True}}),
    Case(EVENT_BROKER, {**MQTT, "topicTemplate": "a.b/{entity_id}", "mqtt": {"encodeDots": False}}),
    Case(
        EVENT_BROKER,
        {
            **MQTT,
            "select": {"kinds": ["Application", "Relation"], "eventTypes": ["ServerCreated"]},
            "acceptedVersions": [
                {"eventType": "ServerCreated", "version": 1},
                {"eventType": "ServerUpdated", "version": 1},
            ],
            "eventDelivery": [{"eventType": "ServerDeleted", "ttlSeconds": 60}],
        },
    ),
    Case(EVENT_BROKER, {**MQTT, "suspended": True}, before=MQTT),
    Case(EVENT_BROKER, {**MQTT, "addresses": ["mqtts://b"]}, before=MQTT),
    Case(EVENT_REPLAY, REPLAY),
    Case(EVENT_REPLAY, {**REPLAY, "range": {"afterPosition": 0, "toTime": "2026-01-01T00:00:00Z"}}),
    Case(EVENT_REPLAY, {**REPLAY, "suspended": True, "rateLimit": None}, before=REPLAY),
    Case(EVENT_REPLAY, {**REPLAY, "range": {"afterPosition": 7, "toPosition": 7}}),
    Case(
        EVENT_REPLAY,
        {
            **REPLAY,
            "range": {"afterTime": "2026-01-01T00:00:00Z", "toTime": "2026-01-02T00:00:00Z"},
            "select": {"kinds": ["Server"], "eventTypes": ["ServerUpdated"]},
            "streams": ["data_entity/default/customer"],
        },
    ),
    Case(PARKED_STREAM, PARKED, before=PARKED),
)


@dataclass(frozen=True)
class Platform:
    """The objects of one namespace."""

    client: ApiClient
    namespace: str

    def path(self, resource: Resource, name: str = "") -> str:
        base = f"/apis/{API_GROUP}/{API_VERSION}/namespaces/{self.namespace}"
        return f"{base}/{resource.plural}/{name}".rstrip("/")

    def create(self, resource: Resource, spec: JsonObject, name: str = "x") -> Reply:
        path = f"{self.path(resource)}?fieldValidation=Strict"
        return self.client.request("POST", path, declared(resource, name, spec))

    def send(self, case: Case) -> Reply:
        if case.before is None:
            return self.create(case.resource, case.spec)
        before = self.create(case.resource, case.before)
        assert before.status == HTTPStatus.CREATED, before.body["message"]
        body = {**before.body, "spec": case.spec}
        return self.client.request("PUT", self.path(case.resource, "x"), body)


@pytest.fixture
def platform(platform_crds: None, admin: ApiClient, namespace: str) -> Platform:
    return Platform(admin, namespace)


@pytest.fixture
def run(control_plane: ControlPlane, kubectl: Path, platform: Platform) -> Kubectl:
    return Kubectl(kubectl, control_plane.kubeconfig, platform.namespace)


@pytest.mark.parametrize("case", [*BY_RULE, *BY_SCHEMA], ids=str)
def test_refused_in_words_that_name_the_field(platform: Platform, case: Case) -> None:
    reply = platform.send(case)

    assert reply.status == HTTPStatus.UNPROCESSABLE_ENTITY, reply.body
    found = causes(reply)
    assert any(each.field == case.field and case.message in each.message for each in found), found


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: f"{case.resource.kind}-{case.spec}"[:90])
def test_taken(platform: Platform, case: Case) -> None:
    reply = platform.send(case)

    assert reply.status in (HTTPStatus.OK, HTTPStatus.CREATED), reply.body["message"]
    wanted = {name: value for name, value in case.spec.items() if value is not None}
    assert reply.body["spec"] == wanted, "written as it came"


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_no_rule_is_without_a_refusal(resource: Resource) -> None:
    tried = {
        rule.message
        for rule in resource.cel
        for case in BY_RULE
        if case.resource is resource and rule.message.startswith(case.message)
    }

    assert tried == {rule.message for rule in resource.cel}


def examples() -> Iterator[JsonObject]:
    for resource in RESOURCES:
        for path in sorted(EXAMPLES.glob(f"{resource.kind.lower()}*.yaml")):
            yield from yaml.safe_load_all(path.read_text())


@pytest.mark.parametrize("manifest", tuple(examples()), ids=lambda manifest: manifest["kind"])
def test_the_examples_are_taken(platform: Platform, manifest: JsonObject) -> None:
    (resource,) = (each for each in RESOURCES if each.kind == manifest["kind"])
    reply = platform.create(resource, manifest["spec"], manifest["metadata"]["name"])

    assert reply.status == HTTPStatus.CREATED, reply.body["message"]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_accepted_as_structural_and_explained(
    platform: Platform, run: Kubectl, admin: ApiClient, resource: Resource
) -> None:
    name = f"{resource.plural}.{API_GROUP}"
    conditions = admin.call("GET", f"{CRDS}/{name}")["status"]["conditions"]

    assert {each["type"]: each["status"] for each in conditions} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    for part in ("spec", "status"):
        assert "<no description>" not in run("explain", f"{resource.plural}.{part}")


def test_short_names_and_the_category(platform: Platform, run: Kubectl) -> None:
    for resource, spec in ((EVENT_BROKER, MQTT), (EVENT_REPLAY, REPLAY), (PARKED_STREAM, PARKED)):
        created = platform.create(resource, spec).body
        assert created.get("status") == (
            None if resource is PARKED_STREAM else {"observedGeneration": -1}
        )
        (short,) = resource.short_names
        assert run("get", short, "-o", "name").strip().endswith("/x")

    assert len(run("get", "ea-platform", "-o", "name").split()) == len(RESOURCES)


def test_what_kubectl_get_eventbrokers_prints(platform: Platform, run: Kubectl) -> None:
    platform.create(EVENT_BROKER, MQTT)
    header, fresh = run("get", "eb").splitlines()
    assert header.split() == [
        "NAME", "TYPE", "READY", "CONNECTED", "CIRCUIT", "LAG", "BEHIND", "PARKED", "SUSPENDED",
        "REASON", "AGE",
    ]  # fmt: skip
    assert fresh.split()[:2] == ["x", "mqtt"]
    status: JsonObject = {
        "observedGeneration": 1,
        "circuit": "half_open",
        "address": "mqtt://broker.example:1883",
        "position": 41,
        "head": 42,
        "lagEvents": 1,
        "lagSeconds": 12,
        "oldestUnpublishedAt": "2026-01-01T00:00:00Z",
        "parkedStreams": 3,
        "lastError": "connection refused",
        "conditions": [
            {
                "type": name,
                "status": truth,
                "observedGeneration": 1,
                "lastTransitionTime": "2026-01-31T08:30:00Z",
                "reason": "Connecting",
                "message": "on its way",
            }
            for name, truth in (("Ready", "False"), ("Connected", "True"), ("Suspended", "False"))
        ],
    }
    path = f"{platform.path(EVENT_BROKER, 'x')}/status"
    reply = platform.client.call("PATCH", path, {"status": status}, content_type=MERGE)
    assert reply["status"] == status, "nothing is pruned"

    _, row = run("get", "eb").splitlines()
    name, type_, ready, connected, circuit, lag, behind, parked, *rest = row.split()
    suspended, reason, _age = rest
    assert (name, type_, ready, connected, circuit) == ("x", "mqtt", "False", "True", "half_open")
    assert (lag, parked, suspended, reason) == ("1", "3", "False", "Connecting")
    assert behind[0].isdigit(), "an age, counted from oldestUnpublishedAt"
    assert "connection refused" in run("get", "eb", "-o", "wide")
    assert "x" in run("get", "eb", "--field-selector=spec.type=mqtt")
    assert json.loads(run("get", "eb", "-o", "json"))["items"][0]["spec"] == MQTT


def test_names_leave_room_for_what_derives_from_them(platform: Platform) -> None:
    reply = platform.create(EVENT_BROKER, MQTT, "n" * 49)

    assert "metadata.name: Too long: may not be more than 48" in reply.body["message"]
    assert platform.create(EVENT_BROKER, MQTT, "n" * 48).status == HTTPStatus.CREATED
    assert platform.create(PARKED_STREAM, PARKED, "n" * 59).status == HTTPStatus.CREATED
