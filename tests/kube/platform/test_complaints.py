"""What a session failed at, tied to the field to look at."""

from __future__ import annotations

import pytest

from eatool.kube.platform.complaints import complaint_of
from eatool.publishing.declared.broker import EventBrokerSpec
from eatool.publishing.port import Fault


@pytest.mark.parametrize("fault", [*Fault, None])
def test_every_fault_names_a_field_that_there_is(fault: Fault | None) -> None:
    _, name, *_ = complaint_of(fault).field.split(".")
    assert name in EventBrokerSpec.model_fields


@pytest.mark.parametrize(
    ("fault", "reason", "field"),
    [
        (None, "ConnectionFailed", "addresses"),
        (Fault.CONNECTION, "ConnectionFailed", "addresses"),
        (Fault.HOST, "UnknownHost", "addresses"),
        (Fault.LOGIN, "LoginRefused", "credentials"),
        (Fault.CLIENT_NAME, "ClientNameRefused", "solace.clientName"),
        (Fault.CLIENT_ID, "ClientIdRefused", "mqtt.clientId"),
        (Fault.VPN, "VpnRefused", "solace.messageVpn"),
        (Fault.CERTIFICATE, "CertificateRefused", "tls"),
        (Fault.TLS, "TlsFailed", "tls"),
    ],
)
def test_a_fault_names_a_field(fault: Fault | None, reason: str, field: str) -> None:
    complaint = complaint_of(fault)
    assert (complaint.reason, complaint.field) == (reason, f"spec.{field}")


def test_somebody_must_act_where_trying_again_hardly_helps() -> None:
    by_itself = {each for each in Fault if not complaint_of(each).lasting}
    assert by_itself == {Fault.TLS, Fault.HOST, Fault.CONNECTION}
