"""One connection of the Solace client library.

Import through :func:`~eatool.publishing.solace_loading.load_client` only.

What blocks has a thread of its own: connect and disconnect. Publishing does not block, and happens
in the event loop. What the library reports comes in threads of its own.

Publishing one message is some 18 calls into C, and each lets go of the interpreter's lock. As long
as another thread waits for that lock, every one of them may cost a switch of threads, which
together cost more than all else that the relay does. Hence no thread publishes beside the loop,
and receipts that arrive during a burst of messages wait for its end.

The library must not reconnect by itself: a reconnection that finds the publisher flow expired can
give two messages one id, of which the broker stores one and the library confirms both.
docs/solace.md has the measurements.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from typing import Any, Protocol
from uuid import uuid4

from solace.messaging.errors.pubsubplus_client_error import (
    IllegalStateError,
    PublisherOverflowError,
    PubSubPlusClientError,
)
from solace.messaging.messaging_service import (
    MessagingService,
    RetryStrategy,
    ServiceInterruptionListener,
)
from solace.messaging.publisher.persistent_message_publisher import MessagePublishReceiptListener
from solace.messaging.publisher.publisher_health_check import PublisherReadinessListener

from eatool.publishing.os_errors import fault_of
from eatool.publishing.port import Message, PermanentPublishError, PublishError, SessionLost
from eatool.publishing.solace_messages import Outbound, topic_of
from eatool.publishing.solace_options import SolaceOptions
from eatool.publishing.solace_properties import properties, trust_store
from eatool.publishing.solace_reasons import broken_session, refused_session, rejection

_log = logging.getLogger(__name__)


class Bridge(Protocol):
    """Whom a connection tells; called in several threads, must neither block nor raise."""

    def opened(self) -> None:
        """The session is there."""
        ...

    def answered(self, answer: asyncio.Future[None], error: PublishError | None) -> None:
        """A message was stored, or was not because of ``error``; ``answer`` came with it."""
        ...

    def room(self) -> None:
        """The library takes messages again."""
        ...

    def lost(self, error: SessionLost) -> None:
        """There is no session, or not any more."""
        ...

    def ended(self) -> None:
        """Everything of the connection is released."""
        ...


class Connection(threading.Thread):
    """Connects when started, releases all after :meth:`end`; publishes in between."""

    def __init__(self, options: SolaceOptions, bridge: Bridge) -> None:
        name = f"{options.client_name}-{uuid4().hex[:12]}"
        super().__init__(name=f"solace {name}", daemon=True)
        self._client_name = name
        self._options = options
        self._bridge = bridge
        self._direct = options.delivery_mode == "direct"
        self._publisher: Any = None
        self._outbound: Outbound
        self._ending = threading.Event()
        #: To be held while messages are published.
        self.burst = threading.Lock()

    def publish(self, message: Message, answer: asyncio.Future[None]) -> bool:
        """Hand over one message, or False when the library has no room; never blocks.

        What becomes of it is told with ``answer``, which is for the bridge alone. To be called in
        one thread, between :meth:`Bridge.opened` and :meth:`end`.
        """
        try:
            prepared, topic = self._outbound.message(message), topic_of(message.topic)
        except Exception as error:
            reason = f"cannot be made a Solace message: {type(error).__name__}"
            self._bridge.answered(answer, PermanentPublishError(reason))
            return True
        try:
            if self._direct:
                self._publisher.publish(prepared, topic)
                self._bridge.answered(answer, None)
            else:
                self._publisher.publish(prepared, topic, user_context=answer)
        except PublisherOverflowError:
            return False
        except IllegalStateError:
            self._bridge.answered(answer, SessionLost("not connected"))
        except Exception as error:
            # No word why: most likely the broker has closed the publisher flow, which the
            # library neither reports nor opens again, while the connection stays up.
            reason = f"the client library cannot publish: {type(error).__name__}: {error}"
            self._bridge.lost(SessionLost(f"{self._options.address}: {reason}"))
        return True

    def end(self) -> None:
        """Disconnect, release. Never blocks."""
        self._ending.set()

    def run(self) -> None:
        """The life of the connection."""
        try:
            if self._options.tls is not None:
                self._options.tls.context()  # says which file is bad; the library may not
            with trust_store(self._options.tls) as store:
                self._hold(properties(self._options, store))
        except OSError as error:
            reason = f"{self._options.address}: {type(error).__name__}: {error}"
            self._bridge.lost(SessionLost(reason, fault_of(error)))
        except Exception as error:
            self._bridge.lost(refused_session(error, self._options))
        finally:
            self._bridge.ended()

    def _hold(self, settings: dict[str, Any]) -> None:
        """Connect, and stay connected until the end."""
        builder = MessagingService.builder().from_properties(settings)
        builder = builder.with_connection_retry_strategy(RetryStrategy.never_retry())
        builder = builder.with_reconnection_retry_strategy(RetryStrategy.never_retry())
        service = builder.build(self._client_name)
        try:
            interruptions = _Interruptions(self._options, self._bridge)
            service.add_service_interruption_listener(interruptions)
            service.connect()
            interruptions.tell()
            self._outbound = Outbound(service)
            self._publisher = self._start_publisher(service)
            self._bridge.opened()
            self._ending.wait()
            with suppress(PubSubPlusClientError):  # "not all was acknowledged": known
                self._publisher.terminate(0)
        finally:
            _release(service)

    def _start_publisher(self, service: Any) -> Any:
        builder = (
            service.create_direct_message_publisher_builder()
            if self._direct
            else service.create_persistent_message_publisher_builder()
        )
        # Without a buffer: nothing is sent by another thread, order is that of publish().
        publisher = builder.on_back_pressure_reject(0).build()
        publisher.start()
        publisher.set_publisher_readiness_listener(_Readiness(self._bridge))
        if not self._direct:
            publisher.set_message_publish_receipt_listener(_Receipts(self._bridge, self.burst))
        return publisher


class _Receipts:
    """Acknowledgements and rejections; the library swallows what is raised here."""

    def __init__(self, bridge: Bridge, burst: threading.Lock) -> None:
        self._bridge, self._burst = bridge, burst

    def on_publish_receipt(self, receipt: Any) -> None:
        """One message was stored, rejected, or given up with the publisher."""
        with self._burst:
            pass
        try:
            error = None if receipt.is_persisted else rejection(receipt.exception)
            self._bridge.answered(receipt.user_context, error)
        except Exception as error:
            _log.exception("a receipt cannot be read")
            self._bridge.lost(SessionLost(f"a receipt cannot be read: {type(error).__name__}"))


class _Interruptions:
    """The end of the session: there is no reconnection behind our back.

    A failed connect is reported here as well, but ``connect()`` itself says more of it.
    """

    def __init__(self, options: SolaceOptions, bridge: Bridge) -> None:
        self._options, self._bridge = options, bridge
        self._lost: SessionLost | None = None
        self._connected = False
        self._lock = threading.Lock()

    def on_service_interrupted(self, event: Any) -> None:
        """The connection broke, or the broker ended it."""
        with self._lock:
            self._lost = broken_session(event.get_cause(), event.get_message(), self._options)
        self._tell()

    def tell(self) -> None:
        """From here on, and what has happened already."""
        with self._lock:
            self._connected = True
        self._tell()

    def _tell(self) -> None:
        if self._connected and self._lost is not None:
            self._bridge.lost(self._lost)


class _Readiness:
    """The library has room again."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def ready(self) -> None:
        """The window is open again."""
        self._bridge.room()


MessagePublishReceiptListener.register(_Receipts)
ServiceInterruptionListener.register(_Interruptions)
PublisherReadinessListener.register(_Readiness)


def _release(service: Any) -> None:
    """Disconnect and free threads, sockets and memory, also of a session that was lost.

    After a loss or a failed connect, ``disconnect()`` of version 1.11 does nothing: the native
    thread and four file descriptors stay for ever, because the finalizer that should free them
    keeps what it waits for alive. So what ``disconnect()`` does otherwise is done here; both
    calls change nothing where it has been done already.
    """
    with suppress(PubSubPlusClientError):
        service.disconnect()
    service._session.session_cleanup()
    service._service_finalizer()
