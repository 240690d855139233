"""TLS and the credentials that need it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.plugins.certificates import Certificates
from tests.plugins.solace import MakeSolace
from tests.publishing.solace_support import message, options_of, session

from eatool.dev.smf import Access, SmfBroker
from eatool.dev.smf.login import server_context
from eatool.publishing.port import Fault, SessionLost
from eatool.publishing.solace import SolacePublisher
from eatool.publishing.solace_options import SolaceOptions
from eatool.publishing.tls import TlsOptions

TOKEN = "an-access-token"


@pytest.fixture
def broker(make_solace: MakeSolace, certificates: Certificates) -> SmfBroker:
    context = server_context(certificates.server, certificates.server_key, certificates.ca)
    return make_solace(tls=context, access=Access(tokens=frozenset({TOKEN})))


@pytest.fixture
def tls(certificates: Certificates) -> TlsOptions:
    """Without a client certificate."""
    return TlsOptions(certificates.ca, server_name="broker.test")


async def refusal(options: SolaceOptions, fault: Fault = Fault.CONNECTION) -> str:
    publisher = SolacePublisher(options)
    with pytest.raises(SessionLost) as caught:
        await publisher.connect()
    await publisher.close()
    assert caught.value.fault is fault
    return str(caught.value)


async def publish_one(broker: SmfBroker, **options: object) -> None:
    async with session(broker, **options) as publisher:
        await publisher.publish(message())
    assert broker.stored_count == 1


async def test_user_name_and_password(broker: SmfBroker, tls: TlsOptions) -> None:
    await publish_one(broker, tls=tls)


async def test_access_token(broker: SmfBroker, tls: TlsOptions) -> None:
    await publish_one(broker, tls=tls, oauth2_token=TOKEN)


async def test_client_certificate_instead_of_a_password(
    broker: SmfBroker, tls: TlsOptions, certificates: Certificates
) -> None:
    tls = replace(tls, certificate=certificates.client, key=certificates.client_key)
    await publish_one(broker, tls=tls, username=None, password=None)


async def test_client_certificate_beside_a_password(
    broker: SmfBroker, tls: TlsOptions, certificates: Certificates
) -> None:
    tls = replace(tls, certificate=certificates.client, key=certificates.client_key)
    await publish_one(broker, tls=tls)


async def test_ca_among_others_in_one_file(
    broker: SmfBroker, tls: TlsOptions, certificates: Certificates, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(certificates.client.read_bytes() + certificates.ca.read_bytes())
    await publish_one(broker, tls=replace(tls, ca=bundle))


async def test_oldest_protocol_version(broker: SmfBroker, tls: TlsOptions) -> None:
    newest = replace(tls, minimum_version=ssl.TLSVersion.TLSv1_3)
    await publish_one(broker, tls=newest)


async def test_broker_with_an_old_protocol_only(
    make_solace: MakeSolace, certificates: Certificates, tls: TlsOptions
) -> None:
    context = server_context(certificates.server, certificates.server_key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    newest = replace(tls, minimum_version=ssl.TLSVersion.TLSv1_3)
    broker = make_solace(tls=context)
    assert "no connection" in await refusal(options_of(broker, tls=newest), Fault.TLS)


Change = Callable[[TlsOptions, Certificates], TlsOptions]


@pytest.mark.parametrize(
    ("change", "complaint", "fault"),
    [
        (lambda tls, _: replace(tls, ca=None), "certificate is not trusted", Fault.CERTIFICATE),
        (
            lambda tls, _: replace(tls, server_name="other.test"),
            "has another name",
            Fault.CERTIFICATE,
        ),
        (
            lambda tls, _: replace(tls, server_name=None),
            "not trusted: .*mismatch",
            Fault.CERTIFICATE,
        ),
        (
            lambda tls, _: replace(tls, ca=Path("/nowhere/ca.pem")),
            "FileNotFoundError",
            Fault.CONNECTION,
        ),
        (
            lambda tls, files: replace(tls, certificate=files.client, key=files.server_key),
            "SSLError: .*key values mismatch",
            Fault.TLS,
        ),
    ],
    ids=["unknown CA", "other name", "address not in it", "no CA file", "wrong key"],
)
async def test_tls_that_does_not_fit(
    broker: SmfBroker,
    tls: TlsOptions,
    certificates: Certificates,
    change: Change,
    *,
    complaint: str,
    fault: Fault,
) -> None:
    options = options_of(broker, tls=change(tls, certificates))
    assert re.search(complaint, await refusal(options, fault))


async def test_refused_token_is_not_shown(broker: SmfBroker, tls: TlsOptions) -> None:
    told = await refusal(options_of(broker, tls=tls, oauth2_token="geheim"), Fault.LOGIN)
    assert "refused the OAuth 2.0 access token" in told
    assert "geheim" not in told


async def test_missing_client_certificate(broker: SmfBroker, tls: TlsOptions) -> None:
    options = options_of(broker, tls=tls, username=None, password=None)
    assert "refused a client without credentials" in await refusal(options, Fault.LOGIN)
