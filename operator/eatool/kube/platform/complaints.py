"""What a broker or the way to it objects to, tied to the field that somebody has to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eatool.publishing.port import Fault


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


_OF: Final[Mapping[Fault, Complaint]] = {
    Fault.CERTIFICATE: Complaint("CertificateRefused", "spec.tls", lasting=True),
    Fault.TLS: Complaint("TlsFailed", "spec.tls", lasting=False),
    Fault.VPN: Complaint("VpnRefused", "spec.solace.messageVpn", lasting=True),
    Fault.CLIENT_NAME: Complaint("ClientNameRefused", "spec.solace.clientName", lasting=True),
    Fault.CLIENT_ID: Complaint("ClientIdRefused", "spec.mqtt.clientId", lasting=True),
    Fault.LOGIN: Complaint("LoginRefused", "spec.credentials", lasting=True),
    Fault.HOST: Complaint("UnknownHost", "spec.addresses", lasting=False),
    Fault.CONNECTION: Complaint("ConnectionFailed", "spec.addresses", lasting=False),
}


def complaint_of(fault: Fault | None) -> Complaint:
    """The complaint behind ``RelayStatus.fault``; where it is not known, the connection failed."""
    return _OF[fault or Fault.CONNECTION]
