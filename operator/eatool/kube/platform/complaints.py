"""What a broker or the way to it objects to, tied to the field that somebody has to look at.

Client libraries and brokers tell it in prose; the words recognised here are those of Mosquitto,
HiveMQ, RabbitMQ, Solace PubSub+ and of TLS and DNS on Linux. What is not recognised is a failed
connection, which is true of all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why there is no session.

    Attributes:
        reason: of the condition.
        field: what to look at.
        lasting: trying again will hardly help; somebody has to change something.

    """

    reason: str
    field: str
    lasting: bool


_FAILED: Final = Complaint("ConnectionFailed", "spec.addresses", lasting=False)
_KNOWN: Final = (
    (r"certificate|trust store", Complaint("CertificateRefused", "spec.tls", lasting=True)),
    (r"ssl|tls|handshake", Complaint("TlsFailed", "spec.tls", lasting=False)),
    (
        r"message vpn .*not available|refused message vpn",
        Complaint("VpnRefused", "spec.solace.messageVpn", lasting=True),
    ),
    (
        r"not authori[sz]ed|bad user|user ?names?\b|password|access token|credentials|this user",
        Complaint("LoginRefused", "spec.credentials", lasting=True),
    ),
    (
        r"gaierror|name or service|name resolution|cannot be resolved",
        Complaint("UnknownHost", "spec.addresses", lasting=False),
    ),
)
_URL: Final = re.compile(r"\w+://\S+")


def complaint_of(error: str) -> Complaint:
    """Classify ``RelayStatus.last_error``."""
    words = _URL.sub("", error)
    for pattern, complaint in _KNOWN:
        if re.search(pattern, words, re.IGNORECASE):
            return complaint
    return _FAILED
