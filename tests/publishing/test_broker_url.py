"""``--broker URL`` means the same as a declared EventBroker."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.plugins.certificates import Certificates

from eatool.publishing.assembly import assemble
from eatool.publishing.broker_url import BrokerUrlError, parse_broker_url
from eatool.publishing.declared.broker import EventBrokerSpec
from eatool.publishing.problems import SpecProblem


def test_url_with_everything(certificates: Certificates) -> None:
    spec, secrets = parse_broker_url(
        "mqtts://us%40er:p%2Fw@broker.example?version=3.1.1&qos=2&client_id=me&keepalive=30"
        f"&max_packet_size=1000&retain=true&encode_dots=true&ca={certificates.ca}&cert={certificates.client}"
        f"&key={certificates.client_key}&server_name=inner&topic=a/{{entity_id}}&window=7"
    )
    assert spec == EventBrokerSpec.model_validate({
        "type": "mqtt",
        "addresses": ["mqtts://broker.example"],
        "tls": {
            "ca": {"name": "ca", "key": "ca.crt"},
            "clientCertificate": {"name": "client"},
            "serverName": "inner",
        },
        "credentials": {"basic": {"name": "login"}},
        "mqtt": {
            "version": "3.1.1", "qos": 2, "clientId": "me", "keepAliveSeconds": 30,
            "maxPacketSize": 1000, "retain": True, "encodeDots": True,
        },
        "topicTemplate": "a/{entity_id}",
        "window": 7,
    })  # fmt: skip
    assert secrets["login"] == {"username": b"us@er", "password": b"p/w"}
    assert secrets["ca"] == {"ca.crt": certificates.ca.read_bytes()}


def test_solace_and_ipv6() -> None:
    spec, secrets = parse_broker_url("tcp://[::1]:55554?vpn=shop&delivery_mode=Direct")
    assert (spec.type, spec.addresses) == ("solace", ("tcp://[::1]:55554",))
    assert spec.solace is not None
    assert (spec.solace.message_vpn, spec.solace.delivery_mode) == ("shop", "Direct")
    assert secrets == {}


def test_token_as_user_name_needs_no_password(tmp_path: Path) -> None:
    spec, secrets = parse_broker_url("mqtt://token@broker.example")
    assemble("default", spec, secrets, environment="dev", material=tmp_path)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://u:geheim@h", "scheme must be mqtt"),
        ("mqtt://u:geheim@", "needs a host"),
        ("mqtt://u:geheim@h:port", "host or port"),
        ("mqtt://u:geheim@h:99999", "host or port"),
        ("mqtt://u:geheim@h/path", "path"),
        ("mqtt://u:geheim@h?version=4", "version: .*'5' or '3.1.1'"),
        ("mqtt://u:geheim@h?qos=3", "qos: .*less than or equal to 2"),
        ("mqtt://u:geheim@h?qos=two", "qos: .*valid integer"),
        ("mqtt://u:geheim@h?color=red", "unknown parameter color; legal: version"),
        ("mqtt://u:geheim@h?ca=/x", "need mqtts"),
        ("mqtt://u:geheim@h?server_name=x", "need mqtts"),
        ("mqtts://u:geheim@h?key=/x", "cert and key belong together"),
        ("mqtts://u:geheim@h?ca=/nowhere/ca.pem", "/nowhere/ca.pem: No such file"),
        ("mqtt://u:geheim@h_%20", "host: "),
    ],
)
def test_bad_urls_say_what_is_wrong_and_no_secret(url: str, complaint: str) -> None:
    with pytest.raises(BrokerUrlError, match=complaint) as caught:
        parse_broker_url(url)
    assert "geheim" not in str(caught.value)


def test_parameters_of_the_other_protocol_are_refused(tmp_path: Path) -> None:
    spec, secrets = parse_broker_url("mqtt://h?vpn=shop")
    with pytest.raises(SpecProblem, match=r"spec\.solace: needs type solace"):
        assemble("default", spec, secrets, environment="dev", material=tmp_path)
