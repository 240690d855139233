"""From a declared EventBroker to a destination, and what is said of those that cannot be."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.certificates import Certificates
from tests.plugins.mosquitto import BrokerFactory
from tests.publishing.support import Writer, running, until

from eatool.publishing.assembly import (
    Secrets,
    assemble,
    assemble_replay,
    fingerprint,
    secrets_of,
    selection_of,
)
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.connecting import Login, connections
from eatool.publishing.declared.broker import EventBrokerSpec
from eatool.publishing.declared.replay import EventReplaySpec
from eatool.publishing.destination import Destination
from eatool.publishing.material import Material, as_file
from eatool.publishing.mqtt_options import MqttOptions
from eatool.publishing.observer import NullObserver
from eatool.publishing.problems import SpecProblem
from eatool.publishing.ratelimit import RateLimit
from eatool.publishing.selection import EVERYTHING, Selection
from eatool.publishing.solace_options import SolaceOptions
from eatool.store.memory import MemoryEventStore

LOGIN = {"credentials": {"basic": {"name": "login"}}}
MQTTS = {"addresses": ["mqtts://h"]}
SOLACE = {"type": "solace", "addresses": ["tcps://h"], "mqtt": None}


def broker(**fields: Any) -> EventBrokerSpec:
    given = {"type": "mqtt", "addresses": ["mqtt://broker.example"], **fields}
    return EventBrokerSpec.model_validate(given)


def replay(**fields: Any) -> EventReplaySpec:
    return EventReplaySpec.model_validate({"broker": "events", "topicPrefix": "replay", **fields})


@pytest.fixture
def put_together(tmp_path: Path) -> Any:
    def assembled(secrets: Secrets | None = None, **fields: Any) -> Destination:
        return assemble(
            "events", broker(**fields), secrets or {}, environment="prod", material=tmp_path / "pem"
        )

    return assembled


def test_plainest_broker(put_together: Any, tmp_path: Path) -> None:
    destination = put_together()
    options = connections("events", broker(), {}, Material(tmp_path), window=512)
    assert options == [MqttOptions("broker.example", 1883, client_id="eatool-events")]
    assert (destination.name, destination.selection) == ("events", EVERYTHING)
    assert (destination.options.window, destination.options.rate) == (512, None)


def test_everything_of_mqtt(tmp_path: Path, certificates: Certificates) -> None:
    secrets = {
        "login": {"username": b"us@er", "password": b"p/w"},
        "ca": {"bundle": certificates.ca.read_bytes()},
        "client": {
            "tls.crt": certificates.client.read_bytes(),
            "tls.key": certificates.client_key.read_bytes(),
        },
    }
    spec = broker(
        **LOGIN,
        addresses=["mqtts://a:1", "mqtts://[::1]"],
        tls={
            "ca": {"name": "ca", "key": "bundle"},
            "clientCertificate": {"name": "client"},
            "serverName": "inner",
            "minimumVersion": "TLSv1.3",
        },
        mqtt={
            "version": "3.1.1", "clientId": "me", "keepAliveSeconds": 7, "qos": 0, "retain": True,
            "maxPacketSize": 1000,
        },
        window=9,
        rateLimit={"eventsPerSecond": 50},
        select={"kinds": ["DataEntity"], "eventTypes": ["DataEntityCreated"], "namespaces": ["a"]},
    )  # fmt: skip
    destination = assemble("e", spec, secrets, environment="prod", material=tmp_path)
    first, second = connections("e", spec, secrets, Material(tmp_path), window=9)
    assert isinstance(first, MqttOptions)
    assert (first.host, first.port, second.host, second.port) == ("a", 1, "::1", 8883)
    assert (first.username, first.password) == ("us@er", "p/w")
    assert (first.version, first.client_id, first.keepalive, first.qos) == ("3.1.1", "me", 7, 0)
    assert (first.retain, first.max_packet_size) == (True, 1000)
    assert first.tls is not None
    assert first.tls.ca is not None
    assert first.tls.key is not None
    assert first.tls.ca.read_bytes() == certificates.ca.read_bytes()
    assert first.tls.key.read_bytes() == certificates.client_key.read_bytes()
    assert first.tls.server_name == "inner"
    assert first.tls.context().minimum_version is ssl.TLSVersion.TLSv1_3
    assert destination.options.window == 9
    assert destination.options.rate == RateLimit(50, 50)
    assert destination.selection == Selection(
        frozenset({"data_entity"}), frozenset({"DataEntityCreated"}), frozenset({"a"})
    )


def test_dots_of_names_are_encoded_on_request(put_together: Any, store: MemoryEventStore) -> None:
    Writer(store).write(["application/shop/web.shop"])
    (event,) = store.read_stored()
    plain, encoded = put_together(), put_together(mqtt={"encodeDots": True})
    assert plain.encoder(event).topic.endswith("/web.shop")
    assert encoded.encoder(event).topic.endswith("/web%2Eshop")
    with pytest.raises(SpecProblem, match=r"^spec\.topicTemplate: .* has a dot"):
        put_together(mqtt={"encodeDots": True}, topicTemplate="a.b/{entity_id}")


def test_everything_of_solace(tmp_path: Path) -> None:
    spec = broker(
        **{
            **SOLACE,
            "addresses": ["tcps://a", "tcps://b:1"],
            "solace": {"messageVpn": "shop", "clientName": "me", "deliveryMode": "Direct"},
            "credentials": {"oauth2": {"name": "token", "key": "t"}},
        },
    )
    secrets = {"token": {"t": b"abc\n"}}
    first, second = connections("events", spec, secrets, Material(tmp_path), window=200)
    assert isinstance(first, SolaceOptions)
    assert (first.host, first.port, second.port) == ("a", 55443, 1)
    assert (first.vpn, first.client_name, first.delivery_mode) == ("shop", "me", "direct")
    assert (first.oauth2_token, first.username, first.window) == ("abc", None, 200)
    assert first.tls is not None
    (plain,) = connections(
        "events", broker(type="solace", addresses=["tcp://h"]), {}, Material(tmp_path), window=5000
    )
    assert isinstance(plain, SolaceOptions)
    assert (plain.port, plain.tls, plain.window) == (55555, None, 255)


CA_OF_X = {"tls": {"ca": {"name": "x", "key": "ca"}}, **MQTTS}
CLIENT_OF_X = {"tls": {"clientCertificate": {"name": "x"}}, **MQTTS}


@pytest.mark.parametrize(
    ("fields", "secrets", "field", "reason", "text"),
    [
        (
            {"select": {"kinds": ["Aplication"]}}, {},
            "spec.select.kinds", "UnknownKind", "did you mean Application",
        ),
        (
            {"select": {"kinds": ["Zzzz"]}}, {},
            "spec.select.kinds", "UnknownKind", "legal: Application, .*Server",
        ),
        (
            {"select": {"eventTypes": ["ApplicationCreate"]}}, {},
            "spec.select.eventTypes", "UnknownEventType", "did you mean ApplicationCreated",
        ),
        (
            {"select": {"eventTypes": ["Xyz"]}}, {},
            "spec.select.eventTypes", "UnknownEventType", "are known, such as",
        ),
        (
            {"eventDelivery": [{"eventType": "ApplicationRenamd", "priority": 1}]}, {},
            "spec.eventDelivery[0].eventType", "UnknownEventType", "is no event type",
        ),
        (
            {"eventDelivery": [{"eventType": "ApplicationDeleted", "priority": n} for n in (1, 2)]},
            {}, "spec.eventDelivery[1].eventType", "DuplicateEventType", "named twice",
        ),
        (
            {"acceptedVersions": [{"eventType": "ApplicationCreatd", "version": 1}]}, {},
            "spec.acceptedVersions[0].eventType", "UnknownEventType", "mean ApplicationCreated",
        ),
        (
            {"acceptedVersions": [{"eventType": "ServerCreated", "version": 1}] * 2}, {},
            "spec.acceptedVersions[1].eventType", "DuplicateEventType", "named twice",
        ),
        (
            {"acceptedVersions": [{"eventType": "ApplicationCreated", "version": 999}]}, {},
            "spec.acceptedVersions[0].version", "UnreachableVersion", "legal: ",
        ),
        (
            {"topicTemplate": "a/{kind}"}, {},
            "spec.topicTemplate", "InvalidTopicTemplate", "unknown placeholder",
        ),
        (
            {**SOLACE, "topicTemplate": "x" * 250 + "/{entity_id}"}, {},
            "spec.topicTemplate", "InvalidTopicTemplate", "limit is 250",
        ),
        (
            {"addresses": ["mqtt://a", "tcp://b"]}, {},
            "spec.addresses[1]", "InvalidAddress", "mqtt://.* or mqtts://.*type mqtt",
        ),
        ({"addresses": ["mqtt://a:99999"]}, {}, "spec.addresses[0]", "InvalidAddress", "65535"),
        (LOGIN, {}, "spec.credentials.basic", "SecretNotFound", "Secret login does not exist"),
        (
            LOGIN, {"login": {"username": b"geheim", "token": b"geheim"}},
            "spec.credentials.basic", "SecretKeyMissing", "no key password.* are: token, username",
        ),
        (
            LOGIN, {"login": {"username": b"", "password": b"geheim"}},
            "spec.credentials.basic", "InvalidSecret", "username of Secret login is empty",
        ),
        (
            LOGIN, {"login": {"username": b"geheim\xff", "password": b""}},
            "spec.credentials.basic", "InvalidSecret", "not UTF-8",
        ),
        (CA_OF_X, {"x": {"ca": b"geheim"}}, "spec.tls.ca", "InvalidCertificate", "no PEM"),
        (
            CLIENT_OF_X, {"x": {"tls.crt": b"geheim", "tls.key": b"geheim"}},
            "spec.tls.clientCertificate", "InvalidCertificate", "unencrypted key",
        ),
        (
            CLIENT_OF_X, {"x": {"tls.crt": b"geheim"}},
            "spec.tls.clientCertificate", "SecretKeyMissing", r"no key tls\.key|tls\.crt",
        ),
        ({"tls": {}}, {}, "spec.tls", "InvalidCombination", "mqtts://"),
        ({"solace": {}}, {}, "spec.solace", "InvalidCombination", "type solace"),
        ({**SOLACE, "mqtt": {}}, {}, "spec.mqtt", "InvalidCombination", "type mqtt"),
        (
            {**MQTTS, "credentials": {"oauth2": {"name": "x", "key": "t"}}}, {},
            "spec.credentials.oauth2", "InvalidCombination", "type solace",
        ),
        (
            {
                **SOLACE,
                "credentials": {"oauth2": {"name": "x", "key": "t"}, "basic": {"name": "x"}},
            },
            {}, "spec.credentials", "InvalidCombination", "one of basic and oauth2",
        ),
        (
            {"contentMode": "Binary", "mqtt": {"version": "3.1.1"}}, {},
            "spec.contentMode", "InvalidCombination", "no properties",
        ),
        (
            {"start": {"position": "Timestamp"}}, {},
            "spec.start.timestamp", "InvalidCombination", "which needs it",
        ),
    ],
)  # fmt: skip
def test_problems_name_the_field_and_what_is_legal(
    put_together: Any,
    *,
    fields: dict[str, Any],
    secrets: Secrets,
    field: str,
    reason: str,
    text: str,
) -> None:
    with pytest.raises(SpecProblem, match=text) as caught:
        put_together(secrets, **fields)
    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert str(caught.value).startswith(f"{field}: ")
    assert "geheim" not in str(caught.value)


def test_secrets_that_a_broker_needs() -> None:
    assert secrets_of(broker()) == frozenset()
    tls = {"ca": {"name": "a", "key": "k"}, "clientCertificate": {"name": "b"}}
    assert secrets_of(broker(**MQTTS, **LOGIN, tls=tls)) == {"a", "b", "login"}
    oauth2 = {"credentials": {"oauth2": {"name": "t", "key": "k"}}}
    assert secrets_of(broker(**SOLACE, **oauth2)) == {"t"}


def test_material_is_private_and_named_by_content(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "pem"
    first = as_file(directory, b"one")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert as_file(directory, b"one") == first
    assert as_file(directory, b"two") != first
    assert first.read_bytes() == b"one"
    assert len(list(directory.iterdir())) == 2


def test_material_holds_what_is_needed_now_and_nothing_else(tmp_path: Path) -> None:
    old, new = Material(tmp_path / "pem"), Material(tmp_path / "pem")
    rotated, kept = old.file(b"old key"), old.file(b"ca")
    assert new.file(b"ca") == kept
    key = new.file(b"new key")
    old.discard()
    new.keep()
    assert {path: path.read_bytes() for path in (tmp_path / "pem").iterdir()} == {
        kept: b"ca",
        key: b"new key",
    }
    old.keep()
    assert sorted((tmp_path / "pem").iterdir()) == sorted((rotated, kept))
    assert b"new key" not in repr(new).encode()


def test_credentials_are_not_shown() -> None:
    assert "geheim" not in repr(Login("user", "geheim", "geheim"))


def test_fingerprint_changes_with_what_matters() -> None:
    spec, secrets = broker(**LOGIN), {"login": {"username": b"a", "password": b"b"}}
    same = fingerprint(spec, secrets)
    assert fingerprint(spec, {**secrets, "other": {"x": b"y"}}) == same
    unimportant = broker(**LOGIN, required=False, start={"position": "Latest"})
    assert fingerprint(unimportant, secrets) == same
    others = [
        fingerprint(broker(**LOGIN, window=3), secrets),
        fingerprint(spec, {"login": {"username": b"a", "password": b"c"}}),
        fingerprint(spec, {}),
        fingerprint(spec, secrets, replay()),
        fingerprint(spec, secrets, replay(rateLimit={"eventsPerSecond": 1})),
    ]
    assert len({same, *others}) == 1 + len(others)
    assert fingerprint(spec, secrets, replay(suspended=True)) == fingerprint(
        spec, secrets, replay()
    )


class TestReplay:
    @staticmethod
    def put(
        tmp_path: Path, replay_: EventReplaySpec, broker_: EventBrokerSpec | None = None
    ) -> Destination:
        return assemble_replay(
            "again", replay_, broker_ or broker(), {},
            environment="prod", material=tmp_path, until=70, start=7,
        )  # fmt: skip

    def test_bounds_name_and_prefix(self, tmp_path: Path) -> None:
        store = MemoryEventStore()
        Writer(store).write(["application/shop/web"])
        destination = self.put(tmp_path, replay())
        assert destination.name == "replay/again"
        assert (destination.options.start, destination.options.until) == (7, 70)
        message = destination.encoder(store.read_stored()[0])
        assert message.topic == "replay/eatool/v1/prod/application/ApplicationCreated/web"

    def test_it_stays_within_the_selection_of_the_broker(self, tmp_path: Path) -> None:
        narrow = broker(select={"kinds": ["Application", "Server"], "namespaces": ["shop"]})
        streams = ["application/shop/a"]
        chosen = self.put(tmp_path, replay(select={"kinds": ["Server"]}, streams=streams), narrow)
        assert chosen.selection == Selection(
            frozenset({"server"}),
            namespaces=frozenset({"shop"}),
            streams=frozenset(streams),
        )
        assert self.put(tmp_path, replay(), narrow).selection == selection_of(narrow)
        with pytest.raises(SpecProblem, match="the broker is sent only application, server"):
            self.put(tmp_path, replay(select={"kinds": ["Relation"]}), narrow)

    def test_unknown_streams_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(SpecProblem, match="did you mean application") as caught:
            self.put(tmp_path, replay(streams=["aplication/shop/a"]))
        assert caught.value.field == "spec.streams"

    def test_problems_of_the_broker_are_told_as_such(self, tmp_path: Path) -> None:
        with pytest.raises(
            SpecProblem, match=r"EventBroker events .*spec\.topicTemplate"
        ) as caught:
            self.put(tmp_path, replay(), broker(topicTemplate="a/{kind}"))
        assert (caught.value.field, caught.value.reason) == ("spec.broker", "InvalidTopicTemplate")

    def test_the_slower_rate_holds(self, tmp_path: Path) -> None:
        def rate(events: int) -> dict[str, Any]:
            return {"rateLimit": {"eventsPerSecond": events, "burst": 1}}

        for own, live, expected in ((5, None, 5), (None, 6, 6), (5, 6, 5), (7, 6, 6)):
            chosen = self.put(
                tmp_path,
                replay(**(rate(own) if own else {})),
                broker(**(rate(live) if live else {})),
            )
            assert chosen.options.rate == RateLimit(expected, 1)
        assert self.put(tmp_path, replay()).options.rate is None


async def test_an_assembled_destination_publishes_over_tls(
    make_mosquitto: BrokerFactory,
    certificates: Certificates,
    tmp_path: Path,
    *,
    store: MemoryEventStore,
    writer: Writer,
    checkpoints: MemoryCheckpoints,
) -> None:
    settings = {"require_certificate": "true"}
    peer = make_mosquitto(certificates=certificates, settings=settings)
    peer.start()
    spec = broker(
        addresses=["mqtts://127.0.0.1:1", f"mqtts://127.0.0.1:{peer.port}"],
        tls={
            "ca": {"name": "tls", "key": "ca.crt"},
            "clientCertificate": {"name": "tls"},
            "serverName": "broker.test",
        },
    )
    data = {
        "ca.crt": certificates.ca.read_bytes(),
        "tls.crt": certificates.client.read_bytes(),
        "tls.key": certificates.client_key.read_bytes(),
    }
    destination = assemble("tls", spec, {"tls": data}, environment="dev", material=tmp_path)
    writer.write(["application/shop/web"], rounds=3)
    relay = destination.relay(store, checkpoints, owner="test", observer=NullObserver())
    async with running(relay):
        await until(lambda: relay.status().connected)
        assert relay.status().address == f"mqtts://127.0.0.1:{peer.port}"
        await until(lambda: relay.status().lag_events == 0 and not relay.status().in_flight)
    assert {cursor.position for cursor in checkpoints.cursors("tls")} == {3}
