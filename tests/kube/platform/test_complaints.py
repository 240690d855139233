"""Errors as client libraries and brokers word them, tied to the field to look at."""

from __future__ import annotations

import pytest

from eatool.kube.platform.complaints import complaint_of


@pytest.mark.parametrize(
    ("error", "reason", "field"),
    [
        ("mqtt://b:1883: connection refused", "ConnectionFailed", "addresses"),
        ("mqtt://tls-login:1883: no answer to CONNECT in time", "ConnectionFailed", "addresses"),
        ("mqtt://b:1883: session lost: Unspecified error", "ConnectionFailed", "addresses"),
        ("mqtt://b:1883: Not authorized", "LoginRefused", "credentials"),
        ("mqtt://b:1883: Bad user name or password", "LoginRefused", "credentials"),
        ("tcp://b:55555: the broker refused user name or password", "LoginRefused", "credentials"),
        ("tcps://b: the broker refused the OAuth 2.0 access token", "LoginRefused", "credentials"),
        ("tcp://b: the broker refused a client without credentials", "LoginRefused", "credentials"),
        ("tcp://b: the broker refused message VPN 'a'", "VpnRefused", "solace.messageVpn"),
        ("tcp://b: message VPN 'a' is not available", "VpnRefused", "solace.messageVpn"),
        ("mqtts://b:8883: SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] x",
         "CertificateRefused", "tls"),
        ("tcps://b: the broker's certificate is not trusted", "CertificateRefused", "tls"),
        ("mqtts://b:1883: SSLError: [SSL: WRONG_VERSION_NUMBER]", "TlsFailed", "tls"),
        ("mqtt://b:1883: the host name cannot be resolved: x", "UnknownHost",
         "addresses"),
        ("tcp://b: the host name cannot be resolved", "UnknownHost", "addresses"),
    ],
)  # fmt: skip
def test_an_error_names_a_field(error: str, reason: str, field: str) -> None:
    complaint = complaint_of(error)
    assert (complaint.reason, complaint.field) == (reason, f"spec.{field}")
