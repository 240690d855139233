"""What every publisher does, shown on the in-memory twin, on real Mosquitto sessions, and with the
real client library of Solace on a stand-in of its broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import pytest
from tests.plugins.certificates import Certificates
from tests.plugins.mosquitto import BrokerFactory
from tests.plugins.solace import MakeSolaceProcess

from eatool.dev.smf.process import TlsFiles
from eatool.publishing.memory import MemoryBroker
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import MqttOptions
from eatool.publishing.port import Message, Publisher, SessionLost
from eatool.publishing.solace import SolacePublisher
from eatool.publishing.solace_options import SolaceOptions
from eatool.publishing.tls import TlsOptions

T = TypeVar("T")
MQTT = ("mqtt5", "mqtt311", "mqtt5-tls", "mqtt5-qos2", "mqtt5-receive-maximum")
SOLACE = ("solace", "solace-tls", "solace-direct", "solace-window")


@dataclass
class Setup:
    """A broker under test: a publisher factory and ways to harm the broker."""

    factory: Callable[[], Publisher]
    stop: Callable[[], None]
    start: Callable[[], None]


@pytest.fixture(params=("memory", *MQTT, *SOLACE))
def setup(request: pytest.FixtureRequest) -> Setup:
    if request.param in MQTT:
        return mqtt(request)
    if request.param in SOLACE:
        return solace(request)
    twin = MemoryBroker()
    return Setup(twin.publisher, twin.stop, twin.start)


def mqtt(request: pytest.FixtureRequest) -> Setup:
    make: BrokerFactory = request.getfixturevalue("make_mosquitto")
    certificates: Certificates | None = None
    tls = None
    if request.param == "mqtt5-tls":
        certificates = request.getfixturevalue("certificates")
        assert certificates is not None
        tls = TlsOptions(
            certificates.ca, certificates.client, certificates.client_key, "broker.test"
        )
    window = "7" if request.param == "mqtt5-receive-maximum" else "0"
    settings = {"max_inflight_messages": window}
    if tls is not None:
        settings["require_certificate"] = "true"
    broker = make(certificates=certificates, settings=settings)
    broker.start()
    options = MqttOptions(
        "127.0.0.1",
        broker.port,
        version="3.1.1" if request.param == "mqtt311" else "5",
        tls=tls,
        qos=2 if request.param == "mqtt5-qos2" else 1,
    )
    return Setup(lambda: MqttPublisher(options), broker.kill, broker.start)


def solace(request: pytest.FixtureRequest) -> Setup:
    make: MakeSolaceProcess = request.getfixturevalue("make_solace_process")
    tls, files = None, None
    if request.param == "solace-tls":
        made: Certificates = request.getfixturevalue("certificates")
        tls = TlsOptions(made.ca, made.client, made.client_key, "broker.test")
        files = TlsFiles(made.server, made.server_key, made.ca)
    broker = make(tls=files)
    options = SolaceOptions(
        "127.0.0.1",
        broker.port,
        tls=tls,
        username=None if tls else "eatool",
        password=None if tls else "eatool",
        delivery_mode="direct" if request.param == "solace-direct" else "persistent",
        window=7 if request.param == "solace-window" else 200,
    )
    return Setup(lambda: SolacePublisher(options), broker.kill, broker.start)


def message(number: int, *, size: int = 100) -> Message:
    return Message(
        f"eatool/v1/dev/application/ApplicationCreated/app-{number}",
        b'{"n": %d, "pad": "%s"}' % (number, b"x" * size),
        "application/json",
        {"id": str(number)},
        str(number),
        f"application/shop/app-{number}",
    )


@asynccontextmanager
async def connected(setup: Setup) -> AsyncIterator[Publisher]:
    publisher = setup.factory()
    await publisher.connect()
    try:
        yield publisher
    finally:
        await publisher.close()


async def within(awaitable: Awaitable[T]) -> T:
    async with asyncio.timeout(10):
        return await awaitable


async def test_many_outstanding_messages_are_all_acknowledged(setup: Setup) -> None:
    async with connected(setup) as publisher:
        answers = [publisher.publish(message(n)) for n in range(500)]
        await within(asyncio.gather(*answers))


async def test_large_message_passes(setup: Setup) -> None:
    async with connected(setup) as publisher:
        await within(publisher.publish(message(1, size=500_000)))


async def test_absent_broker_is_a_lost_session(setup: Setup) -> None:
    setup.stop()
    publisher = setup.factory()
    with pytest.raises(SessionLost):
        await within(publisher.connect())
    await publisher.close()


async def test_lost_session_ends_everything_outstanding(setup: Setup) -> None:
    async with connected(setup) as publisher:
        await within(publisher.publish(message(0)))
        setup.stop()
        assert isinstance(await within(publisher.lost()), SessionLost)
        with pytest.raises(SessionLost):
            await within(publisher.publish(message(1)))
        setup.start()
    async with connected(setup) as again:
        await within(again.publish(message(1)))


async def test_close_ends_what_is_outstanding(setup: Setup) -> None:
    publisher = setup.factory()
    await publisher.connect()
    answer = publisher.publish(message(1))
    await publisher.close()
    with pytest.raises(SessionLost):
        await within(answer)
    await publisher.close()
