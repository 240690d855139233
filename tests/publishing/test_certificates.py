"""When the certificates of a broker expire, from what its Secrets hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from eatool.publishing.certificates import Certificate, expiries
from eatool.publishing.declared.broker import EventBrokerSpec

SOON = datetime(2030, 1, 1, tzinfo=UTC)
LATER = SOON + timedelta(days=400)
TLS = {"ca": {"name": "pem", "key": "ca.crt"}, "clientCertificate": {"name": "login"}}


def pem(end: datetime) -> bytes:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=365))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def broker(**tls: Any) -> EventBrokerSpec:
    given: dict[str, Any] = {"type": "mqtt", "addresses": ["mqtts://broker.example"]}
    return EventBrokerSpec.model_validate({**given, **({"tls": tls} if tls else {})})


def test_the_first_that_ends_counts() -> None:
    secrets = {
        "pem": {"ca.crt": pem(LATER) + pem(SOON)},
        "login": {"tls.crt": pem(LATER), "tls.key": b"irrelevant"},
    }
    assert expiries(broker(**TLS), secrets) == {Certificate.CA: SOON, Certificate.CLIENT: LATER}


def test_what_is_not_declared_does_not_expire() -> None:
    assert expiries(broker(), {}) == {}
    assert expiries(broker(ca=TLS["ca"]), {"pem": {"ca.crt": pem(SOON)}}) == {Certificate.CA: SOON}


def test_what_cannot_be_read_is_left_to_others_to_complain_about() -> None:
    secrets = {"pem": {"ca.crt": b"nonsense"}, "login": {"tls.key": b"without certificate"}}
    assert expiries(broker(**TLS), secrets) == {}
