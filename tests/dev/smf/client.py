"""The real client library, handled so that a test says only what it wants to see.

Import it inside a fixture: the import takes the library for granted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from solace.messaging.config.authentication_strategy import ClientCertificateAuthentication, OAuth2
from solace.messaging.config.missing_resources_creation_configuration import (
    MissingResourcesCreationStrategy,
)
from solace.messaging.config.transport_security_strategy import TLS
from solace.messaging.errors.pubsubplus_client_error import (
    IncompleteMessageDeliveryError,
    PubSubPlusClientError,
)
from solace.messaging.messaging_service import (
    MessagingService,
    ReconnectionAttemptListener,
    ReconnectionListener,
    RetryStrategy,
    ServiceInterruptionListener,
)
from solace.messaging.publisher.persistent_message_publisher import MessagePublishReceiptListener
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.topic import Topic
from solace.messaging.resources.topic_subscription import TopicSubscription
from tests.plugins.solace import SolaceAddress, SolaceTls

TOPIC = "acme/orders/created"
_TERMINATE_MS = 100
_BUFFER = 1000
_RECONNECT_MS = 50


class Receipts:
    """What became of each message: its context, whether it was stored, and the error."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, bool, Exception | None]] = []
        self._changed = threading.Condition()

    def on_publish_receipt(self, receipt: Any) -> None:
        with self._changed:
            self.all.append((receipt.user_context, receipt.is_persisted, receipt.exception))
            self._changed.notify_all()

    def wait(self, count: int, timeout: float = 15.0) -> bool:
        """Whether there are so many in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.all) >= count, timeout)

    @property
    def confirmed(self) -> list[Any]:
        """Contexts of the messages the broker is said to have, in the order of the receipts."""
        return [context for context, persisted, _ in self.all if persisted]

    @property
    def rejected(self) -> dict[Any, str]:
        """Context -> name of the error and the library's sub code."""
        return {context: describe(error) for context, persisted, error in self.all if not persisted}


class Events:
    """What the library says of its connection."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._changed = threading.Condition()

    def on_reconnected(self, event: Any) -> None:
        self._add("reconnected")

    def on_reconnecting(self, event: Any) -> None:
        self._add("reconnecting")

    def on_service_interrupted(self, event: Any) -> None:
        self._add("interrupted")

    def wait(self, what: str, timeout: float = 10.0) -> bool:
        """Whether it says so in time."""
        with self._changed:
            return self._changed.wait_for(lambda: what in self.log, timeout)

    def _add(self, what: str) -> None:
        with self._changed:
            self.log.append(what)
            self._changed.notify_all()


# Registered, not inherited from: the library's classes are untyped.
MessagePublishReceiptListener.register(Receipts)
for listener in (ReconnectionListener, ReconnectionAttemptListener, ServiceInterruptionListener):
    listener.register(Events)


class Client:
    """A service of the library, connected, with a persistent publisher."""

    def __init__(
        self,
        address: SolaceAddress,
        *,
        name: str = "test",
        retries: int = -1,
        tls: SolaceTls | None = None,
        trust_nobody: bool = False,
        credentials: tuple[str, ...] = (),
        reject_when_full: bool = False,
        properties: dict[str, Any] | None = None,
    ) -> None:
        """``retries``: reconnections to try, -1 for no end, 0 for none.

        ``credentials``: ``("access token", token)``, ``("id token", token)`` or
        ``("certificate",)``; without them name and password of the address.
        """
        builder = MessagingService.builder().from_properties(
            {
                "solace.messaging.transport.host": address.url,
                "solace.messaging.service.vpn-name": address.vpn,
                "solace.messaging.authentication.basic.username": address.username,
                "solace.messaging.authentication.basic.password": address.password,
                **(properties or {}),
            }
        )
        builder = builder.with_reconnection_retry_strategy(_retrying(retries))
        trust = address.trust if tls is None else tls.trust_nobody if trust_nobody else tls.trust
        if trust is not None:
            security = TLS.create().with_certificate_validation(False, True, str(trust))
            builder = builder.with_transport_security_strategy(security)
        if credentials:
            builder = builder.with_authentication_strategy(_credentials(tls, *credentials))
        self.service: Any = builder.build(name)
        self.receipts = Receipts()
        self.events = Events()
        self.service.add_reconnection_listener(self.events)
        self.service.add_reconnection_attempt_listener(self.events)
        self.service.add_service_interruption_listener(self.events)
        self.service.connect()
        builder = self.service.create_persistent_message_publisher_builder()
        full = (
            builder.on_back_pressure_reject if reject_when_full else builder.on_back_pressure_wait
        )
        self.publisher = full(0 if reject_when_full else _BUFFER).build()
        self.publisher.start()
        self.publisher.set_message_publish_receipt_listener(self.receipts)

    def publish(self, contexts: Iterable[Any], topic: str = TOPIC) -> None:
        """Publish a guaranteed message for each context, which is also its payload."""
        for context in contexts:
            payload = bytearray(str(context).encode())
            self.publisher.publish(payload, Topic.of(topic), user_context=context)

    def publish_message(self, content: Any, topic: str = TOPIC) -> None:
        """Publish any content."""
        self.publisher.publish(content, Topic.of(topic), user_context=topic)

    def publish_built(self, message: Any, topic: str = TOPIC) -> None:
        """Publish what the library's message builder made."""
        self.publisher.publish(message, Topic.of(topic), user_context=topic)

    def direct(self) -> Callable[[str, bytes], None]:
        """A function that publishes direct messages, ``(topic, payload)``."""
        publisher = self.service.create_direct_message_publisher_builder().build()
        publisher.start()
        return lambda topic, payload: publisher.publish(bytearray(payload), Topic.of(topic))

    def subscribe(self, *subscriptions: str) -> Any:
        """A started receiver of direct messages."""
        topics = [TopicSubscription.of(subscription) for subscription in subscriptions]
        builder = self.service.create_direct_message_receiver_builder()
        receiver = builder.with_subscriptions(topics).build()
        receiver.start()
        return receiver

    def consume(
        self, queue: str, *, create: bool = False, subscriptions: Sequence[str] = ()
    ) -> Any:
        """A started receiver of a queue's messages."""
        builder = self.service.create_persistent_message_receiver_builder()
        if create:
            builder = builder.with_missing_resources_creation_strategy(
                MissingResourcesCreationStrategy.CREATE_ON_START
            )
        if subscriptions:
            builder = builder.with_subscriptions([TopicSubscription.of(s) for s in subscriptions])
        receiver = builder.build(Queue.durable_exclusive_queue(queue))
        receiver.start()
        return receiver

    def stop_consuming(self, receiver: Any) -> None:
        """Let go of a queue; what was received and not asked for is sent to the next consumer."""
        with suppress(IncompleteMessageDeliveryError):
            receiver.terminate(_TERMINATE_MS)

    def close(self) -> None:
        """Disconnect without waiting for what is unacknowledged."""
        with suppress(PubSubPlusClientError):
            self.publisher.terminate(_TERMINATE_MS)
        self.service.disconnect()


def refusal(*args: Any, **options: Any) -> str:
    """The error of a connection that must fail, as :func:`describe` tells it."""
    try:
        client = Client(*args, retries=0, **options)
    except PubSubPlusClientError as error:
        return describe(error)
    client.close()
    raise AssertionError("the broker let it in")


def describe(error: BaseException | None) -> str:
    """Name of an error and the library's sub code: ``AuthenticationError LOGIN_FAILURE``."""
    text = str(error)
    _, found, rest = text.partition("SOLCLIENT_SUBCODE_")
    code = rest.split("'", 1)[0] if found else ""
    return f"{type(error).__name__} {code}".strip()


def _credentials(tls: SolaceTls | None, kind: str, token: str | None = None) -> Any:
    if tls is not None and kind == "certificate":
        pair = str(tls.client), str(tls.client_key)
        return ClientCertificateAuthentication.of(*pair, None)
    return OAuth2.of(token, None) if kind == "access token" else OAuth2.of(None, token)


def _retrying(retries: int) -> Any:
    if retries == 0:
        return RetryStrategy.never_retry()
    if retries == -1:
        return RetryStrategy.forever_retry(_RECONNECT_MS)
    return RetryStrategy.parametrized_retry(retries, _RECONNECT_MS)
