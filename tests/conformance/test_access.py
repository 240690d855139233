"""Who is let in, and to what: TLS, certificates, passwords, access rules."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conformance.capabilities import Feature
from tests.conformance.case import SERVER_NAME, Case, eventually, outcome
from tests.plugins.certificates import Certificates
from tests.plugins.mqtt_brokers.broker import READ_ONLY, Listener

from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.port import PublishError, SessionLost
from eatool.publishing.tls import TlsOptions


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Files of another CA with the same names in them."""
    return Certificates.create(tmp_path_factory.mktemp("strangers"))


async def test_tls_is_verified(case: Case, strangers: Certificates) -> None:
    options = case.options(Listener.TLS)
    assert options.tls is not None
    assert await case.fate(options, case.message(f"{case.root}/x")) == "acknowledged"
    for tls in (replace(options.tls, ca=strangers.ca), replace(options.tls, server_name="other")):
        with pytest.raises(SessionLost, match="CERTIFICATE_VERIFY_FAILED"):
            await MqttPublisher(replace(options, tls=tls)).connect()
    case.saw(Feature.TLS, "yes")


async def test_client_certificate_is_required_and_verified(
    case: Case, strangers: Certificates
) -> None:
    message = case.message(f"{case.root}/x")

    async def with_files(certificate: Path | None, key: Path | None) -> str:
        tls = TlsOptions(case.certificates.ca, certificate, key, SERVER_NAME)
        return await case.fate(case.options(Listener.MUTUAL, tls=tls), message)

    files = case.certificates
    assert await with_files(files.client, files.client_key) == "acknowledged"
    # How a broker says so in TLS 1.3, where the client has finished already, is up to timing.
    assert await with_files(None, None) != "acknowledged"
    assert await with_files(strangers.client, strangers.client_key) != "acknowledged"
    case.saw(Feature.CLIENT_CERTIFICATE, "yes")


async def test_wrong_password_is_refused_without_showing_it(case: Case) -> None:
    publisher = MqttPublisher(case.options(password="wr0ng"))
    with pytest.raises(SessionLost) as caught:
        await publisher.connect()
    await publisher.close()
    assert "wr0ng" not in str(caught.value)
    case.saw(Feature.PASSWORD, outcome(caught.value))


async def test_forbidden_topic(case: Case) -> None:
    """What the publisher learns; a subscriber that may read there shows that nothing arrives."""
    subscriber = case.peer(READ_ONLY)
    publisher = MqttPublisher(case.options())
    await publisher.connect()
    try:
        async with asyncio.timeout(5):
            await publisher.publish(case.message(READ_ONLY.replace("#", "x")))
    except PublishError as error:
        observed = outcome(error)
    else:
        observed = "acknowledged, dropped"
    ended = asyncio.ensure_future(publisher.lost())
    done, _ = await asyncio.wait((ended,), timeout=0.5)
    ended.cancel()
    if done and "closed" not in observed:
        observed += ", then connection closed"
    await publisher.close()
    assert not await eventually(lambda: bool(subscriber.messages), 0.3)
    case.saw(Feature.FORBIDDEN, observed)
