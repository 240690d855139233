"""Somebody who listens at a Solace broker, with Solace's own client library.

Import it after :func:`~eatool.publishing.solace_loading.load_client`, which keeps the library from
taking over logging.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Final

from solace.messaging.config.retry_strategy import RetryStrategy
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.messaging_service import MessagingService
from solace.messaging.resources.queue import Queue

from eatool.demo.failing import DemoError
from eatool.demo.subscriber import Subscriber

_PATIENCE: Final = 20.0
_PAUSE: Final = 0.3
_MILLISECONDS: Final = 200


class SolaceSubscriber(Subscriber):
    """Consumes a queue in a thread of its own, and comes back when the broker does."""

    def __init__(self, address: str, queue: str, topics: str) -> None:
        super().__init__(topics)
        self._address = address
        self._queue = queue
        self._closing = threading.Event()
        self._bound = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"listener of {queue}")
        self._thread.start()
        if not self._bound.wait(_PATIENCE):
            self.close()
            raise DemoError(f"no consumer of the queue {queue} in {_PATIENCE:.0f} s")

    def close(self) -> None:
        """End the connection."""
        self._closing.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._closing.is_set():
            with suppress(PubSubPlusClientError):  # the broker is away
                self._consume()
            self._closing.wait(_PAUSE)

    def _consume(self) -> None:
        """One session, until it is lost or nobody wants it any more."""
        never = RetryStrategy.never_retry()
        service = (
            MessagingService.builder()
            .from_properties(
                {
                    "solace.messaging.transport.host": self._address,
                    "solace.messaging.service.vpn-name": "default",
                    "solace.messaging.authentication.basic.username": "eatool",
                    "solace.messaging.authentication.basic.password": "eatool",
                }
            )
            .with_connection_retry_strategy(never)
            .with_reconnection_retry_strategy(never)
            .build()
        )
        try:
            service.connect()
            receiver = (
                service.create_persistent_message_receiver_builder()
                .with_message_client_acknowledgement()
                .build(Queue.durable_exclusive_queue(self._queue))
            )
            receiver.start()
            self._bound.set()
            while service.is_connected and not self._closing.is_set():
                message = receiver.receive_message(timeout=_MILLISECONDS)
                if message is not None:
                    self._take(message.get_destination_name(), message.get_payload_as_bytes())
                    receiver.ack(message)
        finally:
            service.disconnect()
