"""Who gets in, and what the real client makes of a refusal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.dev.smf.conftest import Connect
from tests.plugins.solace import MakeSolace, MakeSolaceProcess, SolaceAddress, SolaceTls

from eatool.dev.smf import Access, Reply, SmfBroker, replies
from eatool.dev.smf.login import server_context
from eatool.dev.smf.process import TlsFiles

Refuse = Callable[..., str]

PASSWORD = "solace.messaging.authentication.basic.password"
VPN = "solace.messaging.service.vpn-name"


def make_tls(make_solace: MakeSolace, files: TlsFiles, **options: object) -> SmfBroker:
    context = server_context(files.certificate, files.key, files.client_ca)
    return make_solace(tls=context, **options)


def test_a_wrong_password_is_refused(solace: SmfBroker, refuse: Refuse) -> None:
    assert refuse(solace, properties={PASSWORD: "wrong"}) == "AuthenticationError LOGIN_FAILURE"
    assert solace.logins == [("test", replies.UNAUTHORIZED)]


def test_another_vpn_is_refused(solace: SmfBroker, refuse: Refuse) -> None:
    assert refuse(solace, properties={VPN: "other"}).endswith("MSG_VPN_NOT_ALLOWED")


def test_a_name_in_use_is_refused(solace: SmfBroker, connect: Connect, refuse: Refuse) -> None:
    connect(solace, name="first")
    assert refuse(solace, name="first").endswith("CLIENT_NAME_ALREADY_IN_USE")
    assert solace.clients == ["first"]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (replies.VPN_UNAVAILABLE, "MSG_VPN_UNAVAILABLE"),
        (replies.CLIENT_ACL_DENIED, "CLIENT_ACL_DENIED"),
        (replies.CLIENT_USERNAME_SHUTDOWN, "CLIENT_USERNAME_IS_SHUTDOWN"),
        (replies.SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
    ],
    ids=str,
)
def test_any_login_can_be_refused(
    solace: SmfBroker, refuse: Refuse, reply: Reply, code: str
) -> None:
    solace.faults.refuse_login = reply
    assert refuse(solace).endswith(code)


def test_connections_can_be_refused(solace: SmfBroker, refuse: Refuse) -> None:
    solace.faults.refuse_connections = True
    assert "COMMUNICATION_ERROR" in refuse(solace)
    assert solace.logins == []


def test_a_publisher_flow_can_be_refused(solace: SmfBroker, refuse: Refuse) -> None:
    solace.faults.refuse_publisher_flow = replies.PERMISSION_NOT_ALLOWED
    assert refuse(solace).endswith("PERMISSION_NOT_ALLOWED")


def test_tls_with_a_password(
    make_solace: MakeSolace, solace_tls: SolaceTls, connect: Connect
) -> None:
    broker = make_tls(make_solace, solace_tls.server)
    client = connect(broker, tls=solace_tls)
    client.publish(["x"])
    assert broker.url.startswith("tcps:")
    assert client.receipts.wait(1)
    assert client.receipts.confirmed == ["x"]


def test_a_process_takes_the_same_credentials(
    make_solace_process: MakeSolaceProcess, solace_tls: SolaceTls, connect: Connect
) -> None:
    access = Access(vpn="prod", users={"relay": "a:b"}, tokens=frozenset({"good"}))
    broker = make_solace_process(access=access, tls=solace_tls.server)
    address = SolaceAddress.of(broker, access)
    connect(address, name="password", tls=solace_tls)
    connect(address, name="token", tls=solace_tls, credentials=("access token", "good"))
    connect(address, name="certificate", tls=solace_tls, credentials=("certificate",))
    assert set(broker.status().clients) == {"password", "token", "certificate"}


@pytest.mark.parametrize("kind", ["access token", "id token"])
def test_oauth(
    make_solace: MakeSolace, solace_tls: SolaceTls, connect: Connect, refuse: Refuse, kind: str
) -> None:
    access = Access(tokens=frozenset({"good"}))
    broker = make_tls(make_solace, solace_tls.server, access=access)
    connect(broker, tls=solace_tls, credentials=(kind, "good"))
    old = refuse(broker, name="other", tls=solace_tls, credentials=(kind, "old"))
    assert old == "AuthenticationError LOGIN_FAILURE"


def test_a_client_certificate(
    make_solace: MakeSolace, solace_tls: SolaceTls, connect: Connect
) -> None:
    broker = make_tls(make_solace, solace_tls.server, access=Access(users={"nobody": "x"}))
    connect(broker, tls=solace_tls, credentials=("certificate",))
    assert broker.clients == ["test"]


def test_a_client_trusts_no_stranger(
    make_solace: MakeSolace, solace_tls: SolaceTls, refuse: Refuse
) -> None:
    broker = make_tls(make_solace, solace_tls.server)
    assert refuse(broker, tls=solace_tls, trust_nobody=True).endswith("UNTRUSTED_CERTIFICATE")
    other = make_tls(make_solace, solace_tls.misnamed)
    assert "UNTRUSTED" in refuse(other, tls=solace_tls)
    assert broker.logins == other.logins == []
