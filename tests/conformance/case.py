"""One broker and one MQTT version under test, and what was seen of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.conformance.capabilities import Capability, Column, Feature, declared
from tests.plugins.certificates import Certificates
from tests.plugins.mqtt_brokers.broker import PASSWORD, USER, Broker, Listener
from tests.plugins.mqtt_brokers.peer import Peer

from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import MqttOptions
from eatool.publishing.port import Message, PermanentPublishError, PublishError, SessionLost
from eatool.publishing.tls import TlsOptions

#: The name in the test certificates.
SERVER_NAME = "broker.test"
_PATIENCE = 5.0


@dataclass
class Sheet:
    """Everything the run has seen."""

    seen: dict[Column, dict[Feature, str]] = field(default_factory=dict)
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)

    def saw(self, broker: Broker, column: Column, feature: Feature, observed: str) -> None:
        """Note an outcome, and fail if another one is declared."""
        self.seen.setdefault(column, {})[feature] = observed
        self.versions[column.broker] = (broker.title, broker.version)
        expected = declared(column, feature)
        assert observed == expected.observed, (
            f"{broker.title} {broker.version}, MQTT {column.version}, {feature}: "
            f"declared is {expected.observed!r}, seen was {observed!r}"
        )


@dataclass
class Case:
    """A column of the table at work. Every test has topics of its own, below :attr:`root`."""

    broker: Broker
    column: Column
    sheet: Sheet
    certificates: Certificates
    root: str = field(default_factory=lambda: f"eatool/{uuid4().hex[:8]}")
    peers: list[Peer] = field(default_factory=list)

    def saw(self, feature: Feature, observed: str) -> None:
        """See :meth:`Sheet.saw`."""
        self.sheet.saw(self.broker, self.column, feature, observed)

    def expected(self, feature: Feature) -> Capability:
        """What is declared, where a test has to know beforehand."""
        return declared(self.column, feature)

    def options(
        self, listener: Listener = Listener.PLAIN, *, port: int | None = None, **overrides: Any
    ) -> MqttOptions:
        """How our adapter reaches the broker, or ``port`` before it."""
        arguments: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": port or self.broker.port(listener),
            "version": self.column.version,
            "username": USER,
            "password": PASSWORD,
            "tls": None if listener is Listener.PLAIN else self.tls(),
            **overrides,
        }
        return MqttOptions(**arguments)

    def tls(self) -> TlsOptions:
        """Trust the test CA, show no certificate."""
        return TlsOptions(self.certificates.ca, server_name=SERVER_NAME)

    def peer(self, topic_filter: str | None = None, *, qos: int = 1, **arguments: Any) -> Peer:
        """An independent client, subscribed if a filter is given; gone when the test ends."""
        peer = Peer(self.broker.port(), self.column.version, **arguments)
        self.peers.append(peer)
        peer.connect()
        if topic_filter is not None:
            peer.subscribe(topic_filter, qos)
        return peer

    def message(self, topic: str, payload: bytes = b'{"a": 1}') -> Message:
        """A message with CloudEvents attributes for MQTT 5."""
        return Message(topic, payload, "application/json", {"id": "é", "type": "t"}, "id", "stream")

    async def fate(self, options: MqttOptions, *messages: Message) -> str:
        """Publish through our adapter: ``acknowledged``, or in words what happened instead."""
        publisher = MqttPublisher(options)
        try:
            await publisher.connect()
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(*map(publisher.publish, messages))
        except TimeoutError:
            return "no answer"
        except PublishError as error:
            return outcome(error)
        else:
            return "acknowledged"
        finally:
            await publisher.close()

    async def delivered(self, topic: str, payload: bytes = b"{}") -> str:
        """``yes`` when a message to the topic reaches a subscriber unchanged, else its fate."""
        subscriber = self.peer(f"{self.root}/#")
        fate = await self.fate(self.options(), self.message(topic, payload))
        if fate != "acknowledged":
            return fate
        await eventually(lambda: bool(subscriber.messages), 2)
        if not subscriber.messages:
            return "acknowledged, dropped"
        (message,) = subscriber.messages
        if message.topic != topic:
            return f"delivered to {message.topic.removeprefix(self.root + '/')}"
        return "yes"


def outcome(error: PublishError) -> str:
    """A failure as the table words it, without the address."""
    text = re.sub(r"^mqtts?://\S+: ", "", str(error))
    if isinstance(error, SessionLost):
        if text.startswith("session lost: "):
            reason = text.removeprefix("session lost: ")
            return "connection closed" + ("" if reason == "Unspecified error" else f": {reason}")
        return text
    if isinstance(error, PermanentPublishError) and "too large, the limit is" in text:
        return "not sent: over the announced limit"
    return text.replace("broker answered", "refused:")


async def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait for a condition; whether it came true."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        return False
    return True
