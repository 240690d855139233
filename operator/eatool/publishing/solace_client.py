"""One connection of the Solace client library, and the thread that drives it.

Import through :func:`~eatool.publishing.solace_loading.load_client` only.

Everything that blocks happens in that thread: connect, publish, disconnect. What the library
reports comes in threads of its own. The library must not reconnect by itself: a reconnection that
finds the publisher flow expired can give two messages one id, of which the broker stores one and
the library confirms both. docs/solace.md has the measurements.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, Protocol
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

#: Seconds between tries when the library is full and does not say that it has room again.
_FULL: Final = 0.05


class Bridge(Protocol):
    """Whom the thread tells; called in several threads, must neither block nor raise."""

    def opened(self) -> None:
        """The session is there."""
        ...

    def answered(self, number: int, error: PublishError | None) -> None:
        """A message was stored, or was not because of ``error``."""
        ...

    def lost(self, error: SessionLost) -> None:
        """There is no session, or not any more."""
        ...

    def ended(self) -> None:
        """Everything of the connection is released."""
        ...


class ClientThread(threading.Thread):
    """Connects when started; publishes in order of :meth:`send`; releases all at :meth:`end`."""

    def __init__(self, options: SolaceOptions, bridge: Bridge) -> None:
        name = f"{options.client_name}-{uuid4().hex[:12]}"
        super().__init__(name=f"solace {name}", daemon=True)
        self._client_name = name
        self._options = options
        self._bridge = bridge
        self._jobs: SimpleQueue[Sequence[tuple[int, Message]]] = SimpleQueue()
        self._ending = False
        self._room = threading.Event()

    def send(self, numbered: Sequence[tuple[int, Message]]) -> None:
        """Publish; the answers come through the bridge. Never blocks."""
        self._jobs.put(numbered)

    def end(self) -> None:
        """Publish nothing more, disconnect, release. Never blocks."""
        self._ending = True
        self._room.set()
        self._jobs.put(())

    def run(self) -> None:
        """The life of the connection."""
        try:
            if self._options.tls is not None:
                self._options.tls.context()  # says which file is bad; the library may not
            with trust_store(self._options.tls) as store:
                self._connect_and_publish(properties(self._options, store))
        except OSError as error:
            reason = f"{self._options.address}: {type(error).__name__}: {error}"
            self._bridge.lost(SessionLost(reason, fault_of(error)))
        except Exception as error:
            self._bridge.lost(refused_session(error, self._options))
        finally:
            self._bridge.ended()

    def _connect_and_publish(self, settings: dict[str, Any]) -> None:
        builder = MessagingService.builder().from_properties(settings)
        builder = builder.with_connection_retry_strategy(RetryStrategy.never_retry())
        builder = builder.with_reconnection_retry_strategy(RetryStrategy.never_retry())
        service = builder.build(self._client_name)
        try:
            interruptions = _Interruptions(self._options, self._bridge)
            service.add_service_interruption_listener(interruptions)
            service.connect()
            interruptions.tell()
            publisher = self._start_publisher(service)
            self._bridge.opened()
            try:
                self._publish_all(publisher, Outbound(service))
            finally:
                with suppress(PubSubPlusClientError):  # "not all was acknowledged": known
                    publisher.terminate(0)
        finally:
            _release(service)

    def _start_publisher(self, service: Any) -> Any:
        direct = self._options.delivery_mode == "direct"
        builder = (
            service.create_direct_message_publisher_builder()
            if direct
            else service.create_persistent_message_publisher_builder()
        )
        # Without a buffer: nothing is sent by another thread, order is that of publish().
        publisher = builder.on_back_pressure_reject(0).build()
        publisher.start()
        publisher.set_publisher_readiness_listener(_Readiness(self._room))
        if not direct:
            publisher.set_message_publish_receipt_listener(_Receipts(self._bridge))
        return publisher

    def _publish_all(self, publisher: Any, outbound: Outbound) -> None:
        while not self._ending:
            for number, message in self._jobs.get():
                try:
                    prepared, topic = outbound.message(message), topic_of(message.topic)
                except Exception as error:
                    reason = f"cannot be made a Solace message: {type(error).__name__}"
                    self._bridge.answered(number, PermanentPublishError(reason))
                else:
                    self._publish(publisher, prepared, topic, number)

    def _publish(self, publisher: Any, prepared: Any, topic: Any, number: int) -> None:
        while not self._ending:
            try:
                if self._options.delivery_mode == "direct":
                    publisher.publish(prepared, topic)
                    self._bridge.answered(number, None)
                else:
                    publisher.publish(prepared, topic, user_context=number)
            except PublisherOverflowError:
                # Later messages of the queue wait behind this one: order stays.
                self._room.wait(_FULL)
                self._room.clear()
            except IllegalStateError:
                self._bridge.answered(number, SessionLost("not connected"))
                return
            except Exception as error:
                # No word why: most likely the broker has closed the publisher flow, which the
                # library neither reports nor opens again, while the connection stays up.
                reason = f"the client library cannot publish: {type(error).__name__}: {error}"
                self._bridge.lost(SessionLost(f"{self._options.address}: {reason}"))
                return
            else:
                return


class _Receipts:
    """Acknowledgements and rejections; the library swallows what is raised here."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def on_publish_receipt(self, receipt: Any) -> None:
        """One message was stored, rejected, or given up with the publisher."""
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

    def __init__(self, room: threading.Event) -> None:
        self._room = room

    def ready(self) -> None:
        """The window is open again."""
        self._room.set()


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
