"""Brokers that refuse us: the condition names the field, and mending it is enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.operator.operators import Operator, until
from tests.operator.platform_site import PlatformSite
from tests.operator.site import SERVER, Site
from tests.plugins.certificates import Certificates
from tests.plugins.mosquitto import BrokerFactory, Mosquitto
from tests.plugins.solace import MakeSolace

from eatool.dev.smf import Access, Nack, SmfBroker
from eatool.dev.smf import replies as answers
from eatool.dev.smf.login import server_context
from eatool.kube.platform.resources import EVENT_BROKER

#: A name with tls in it, and one of a broker that is sure not to be there.
VPN, NOWHERE = "tls-prod", "nowhere.invalid"
USER, PASSWORD, TOKEN = "registry", "r1ght-passw0rd", "a-g00d-token"

Keys = Mapping[str, str]


@dataclass(frozen=True)
class Refused:
    """A broker with one mistake.

    Attributes:
        spec: as it is declared, mistake included.
        reason, at: of the condition, and the field that it names.
        stalled: only a person can mend it.
        mended: fields that are put right.
        secrets: those of its own, with the mistake.
        mended_secrets: put right.

    """

    spec: dict[str, Any]
    reason: str
    at: str
    stalled: bool = True
    mended: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Keys] = field(default_factory=dict)
    mended_secrets: dict[str, Keys] = field(default_factory=dict)


@pytest.fixture(scope="module")
def settings(site: Site) -> dict[str, Any]:
    return {"namespace": site.namespace, "resync_interval": 3600}


@pytest.fixture
def plain(make_solace: MakeSolace) -> SmfBroker:
    return make_solace(access=Access(VPN, {USER: PASSWORD}))


@pytest.fixture
def secured(make_solace: MakeSolace, certificates: Certificates) -> SmfBroker:
    context = server_context(certificates.server, certificates.server_key)
    return make_solace(tls=context, access=Access(VPN, {USER: PASSWORD}, frozenset({TOKEN})))


@pytest.fixture
def mosquitto(make_mosquitto: BrokerFactory, certificates: Certificates) -> Mosquitto:
    broker = make_mosquitto(certificates=certificates)
    broker.start()
    return broker


@pytest.fixture
def cases(
    plain: SmfBroker,
    secured: SmfBroker,
    mosquitto: Mosquitto,
    certificates: Certificates,
    tmp_path: Path,
) -> dict[str, Refused]:
    """By the name of the broker."""
    ours = {"ca.crt": certificates.ca.read_text()}
    strangers = {"ca.crt": Certificates.create(tmp_path).ca.read_text()}
    tls = {"ca": {"name": "ca", "key": "ca.crt"}, "serverName": "broker.test"}
    login = {"basic": {"name": "login"}}
    solace = {
        "type": "solace",
        "addresses": [secured.url],
        "tls": tls,
        "credentials": login,
        "solace": {"messageVpn": VPN},
    }
    mqtt = {"type": "mqtt", "addresses": [f"mqtts://127.0.0.1:{mosquitto.port}"], "tls": tls}
    return {
        "vpn": Refused(
            {**solace, "solace": {"messageVpn": "ssl-prod"}},
            "VpnRefused",
            "spec.solace.messageVpn",
            mended={"solace": {"messageVpn": VPN}},
        ),
        "password": Refused(
            {**solace, "credentials": {"basic": {"name": "own-login"}}},
            "LoginRefused",
            "spec.credentials",
            secrets={"own-login": {"username": USER, "password": "wr0ng"}},
            mended_secrets={"own-login": {"username": USER, "password": PASSWORD}},
        ),
        "token": Refused(
            {**solace, "credentials": {"oauth2": {"name": "token", "key": "token"}}},
            "LoginRefused",
            "spec.credentials",
            secrets={"token": {"token": "an-0ld-token"}},
            mended_secrets={"token": {"token": TOKEN}},
        ),
        "solace-ca": Refused(
            {**solace, "tls": {**tls, "ca": {"name": "solace-ca", "key": "ca.crt"}}},
            "CertificateRefused",
            "spec.tls",
            secrets={"solace-ca": strangers},
            mended_secrets={"solace-ca": ours},
        ),
        "mqtt-ca": Refused(
            {**mqtt, "tls": {**tls, "ca": {"name": "mqtt-ca", "key": "ca.crt"}}},
            "CertificateRefused",
            "spec.tls",
            secrets={"mqtt-ca": strangers},
            mended_secrets={"mqtt-ca": ours},
        ),
        "server-name": Refused(
            {**mqtt, "tls": {**tls, "serverName": "other.test"}},
            "CertificateRefused",
            "spec.tls",
            mended={"tls": tls},
        ),
        "no-tls": Refused(
            {**solace, "addresses": [f"tcps://127.0.0.1:{plain.port}"]},
            "TlsFailed",
            "spec.tls",
            stalled=False,
            mended={"addresses": [plain.url], "tls": None},
        ),
        "host": Refused(
            {**solace, "addresses": [f"tcps://{NOWHERE}"]},
            "UnknownHost",
            "spec.addresses",
            stalled=False,
            mended={"addresses": [secured.url]},
        ),
    }


def test_what_is_refused_is_named_and_heals_when_it_is_mended(
    operator: Operator,
    site: Site,
    platform: PlatformSite,
    cases: dict[str, Refused],
    certificates: Certificates,
) -> None:
    platform.secret("login", username=USER, password=PASSWORD)
    platform.secret("ca", **{"ca.crt": certificates.ca.read_text()})
    pid = operator.pid
    for name, case in cases.items():
        for secret, keys in case.secrets.items():
            platform.secret(secret, **keys)
        platform.create(EVENT_BROKER, name, **case.spec)
    site.create("Server", "db", SERVER)
    site.await_ready("Server", "db")
    for name, case in cases.items():
        told = platform.await_reason(EVENT_BROKER, name, case.reason, seconds=60)
        assert told["message"].startswith(f"{case.at}: "), name
        holds = {
            which: platform.condition(EVENT_BROKER, name, which).get("status")
            for which in ("Ready", "Connected", "Stalled", "Reconciling")
        }
        assert holds == {
            "Ready": "False",
            "Connected": "False",
            "Stalled": "True" if case.stalled else None,
            "Reconciling": None if case.stalled else "True",
        }, name

    for name, case in cases.items():
        for secret, keys in case.mended_secrets.items():
            platform.secret(secret, **keys)
        if case.mended:
            platform.change(EVENT_BROKER, name, **case.mended)
    for name in cases:
        platform.await_reason(EVENT_BROKER, name, "Publishing", seconds=60)
        platform.await_caught_up(name)
        assert not platform.condition(EVENT_BROKER, name, "Stalled"), name
    assert operator.pid == pid
    assert operator.alive
    for secret in (PASSWORD, TOKEN, "wr0ng", "an-0ld-token"):
        assert secret not in operator.log(), secret


def test_an_entity_whose_topic_solace_refuses_is_parked_and_goes_on_when_asked(
    operator: Operator, site: Site, platform: PlatformSite, plain: SmfBroker
) -> None:
    plain.faults.nacks = [Nack(answers.PUBLISH_ACL_DENIED, "refusing/*/secret")]
    platform.secret("login", username=USER, password=PASSWORD)
    platform.create(
        EVENT_BROKER,
        "refusing",
        type="solace",
        addresses=[plain.url],
        credentials={"basic": {"name": "login"}},
        solace={"messageVpn": VPN},
        topicTemplate="refusing/{entity_type}/{entity_id}",
    )
    site.create("Server", "secret", SERVER)
    site.create("Server", "public", SERVER)
    site.await_ready("Server", "secret")
    site.await_ready("Server", "public")
    stream = f"server/{site.namespace}/secret"
    until(lambda: platform.parked("refusing", stream), "its stream is parked")
    platform.await_reason(EVENT_BROKER, "refusing", "Publishing")
    until(lambda: platform.row("refusing")["PARKED"] == "1", "the broker counts it")
    told = platform.condition(EVENT_BROKER, "refusing")
    assert "1 entity is parked" in told["message"]
    assert not platform.condition(EVENT_BROKER, "refusing", "Stalled")
    status = (platform.parked("refusing", stream) or {})["status"]
    assert "PUBLISH_ACL_DENIED" in str(status)

    def sent() -> set[str]:
        return {each.topic for each in plain.stored()}

    until(lambda: "refusing/server/public" in sent(), "another entity is not held up")
    assert "refusing/server/secret" not in sent()
    plain.faults.nacks = []
    platform.ask_for_resend("refusing", stream, "now")
    until(lambda: "refusing/server/secret" in sent(), "it has what it refused")
    until(lambda: platform.parked("refusing", stream) is None, "nothing is parked any more")
