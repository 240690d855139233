"""Solace: the stand-in of its broker, and the official client library alone.

The stand-in is Python too and shares the machine with what is measured: its processor time is
reported beside the rates. A real broker leaves more of the machine to both sides.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from solace.messaging.config.solace_properties import message_properties
from solace.messaging.messaging_service import MessagingService, RetryStrategy
from solace.messaging.publisher.persistent_message_publisher import MessagePublishReceiptListener
from solace.messaging.resources.topic import Topic

from eatool.dev.processes import end_with_parent
from eatool.dev.smf import DeliveryMode, ReceivedMessage
from eatool.publishing.cloudevents import STRUCTURED_CONTENT_TYPE
from eatool.publishing.port import Message, PublisherFactory
from eatool.publishing.solace import SolacePublisher
from eatool.publishing.solace_options import SolaceOptions

#: Messages that the stand-in remembers.
KEPT = 25_000


class SolacePeer:
    """See :class:`~benchmarks.relay.peers.Peer`."""

    raw = "solace-pubsubplus"
    settings = "stand-in of PubSub+ in Python, persistent"

    def __init__(self, _folder: Path) -> None:
        """Start the stand-in."""
        arguments = ["--port=0", "--user=eatool:eatool", f"--keep={KEPT}"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "eatool.dev.smf", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=end_with_parent(),  # noqa: PLW1509 - one prctl call, takes no lock
        )
        assert self._process.stdout is not None
        self._url, _, self._control = self._process.stdout.readline().split()
        self.pid: int | None = self._process.pid
        self._seen = 0

    def publish_raw(self, messages: Sequence[Message], window: int) -> float:
        """See the protocol."""
        return raw_solace(self._url, messages, window)

    def factory(self) -> PublisherFactory:
        """See the protocol."""
        port = urlsplit(self._url).port or 0
        options = SolaceOptions("127.0.0.1", port, username="eatool", password="eatool")
        return lambda: SolacePublisher(options)

    def collect(self, expected: int) -> None:
        """See the protocol; of more than KEPT the newest are looked at, and all are counted.

        What travels beside the payload is looked at as well: both sides send the same.
        """
        received = self.ask("/status")["received"]
        new, self._seen = received - self._seen, received
        assert new == expected, f"{new} of {expected} events arrived"
        at_hand = min(received, KEPT)
        records = self.ask(f"/messages?since={at_hand - min(new, KEPT)}")["messages"]
        highest: dict[str, int] = {}
        for record in records:
            message = ReceivedMessage.from_record(record)
            body = orjson.loads(message.payload)
            stream, version = body["partitionkey"], int(body["sequence"])
            assert _beside_the_payload(message) == (
                DeliveryMode.PERSISTENT,
                body["id"],
                body["correlationid"],
                STRUCTURED_CONTENT_TYPE,
                {"JMSXGroupID": stream},
            ), "the two sides send different messages"
            before = highest.get(stream, 0 if new <= KEPT else version - 1)
            assert version == before + 1, f"{stream}: {version} after {before}"
            highest[stream] = version

    def ask(self, path: str) -> Any:
        """What the stand-in says of itself."""
        connection = http.client.HTTPConnection(urlsplit(self._control).netloc, timeout=120)
        try:
            connection.request("GET", path)
            return orjson.loads(connection.getresponse().read())
        finally:
            connection.close()

    def stop(self) -> None:
        """See the protocol."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _beside_the_payload(message: ReceivedMessage) -> tuple[object, ...]:
    return (
        message.delivery_mode,
        message.application_message_id,
        message.correlation_id,
        message.headers["http_content_type"],
        message.user_properties,
    )


class _Count:
    def __init__(self, messages: int, window: int) -> None:
        self._left = messages
        self.permits = threading.Semaphore(window)
        self.done = threading.Event()

    def on_publish_receipt(self, receipt: Any) -> None:
        assert receipt.is_persisted
        self._left -= 1
        self.permits.release()
        if not self._left:
            self.done.set()


MessagePublishReceiptListener.register(_Count)


def raw_solace(url: str, messages: Sequence[Message], window: int) -> float:
    """Acked messages per second: the same on the wire, nothing but build, publish and count."""
    service = (
        MessagingService.builder()
        .from_properties(
            {
                "solace.messaging.transport.host": url,
                "solace.messaging.service.vpn-name": "default",
                "solace.messaging.authentication.basic.username": "eatool",
                "solace.messaging.authentication.basic.password": "eatool",
            }
        )
        .with_reconnection_retry_strategy(RetryStrategy.never_retry())
        .build("raw")
    )
    service.connect()
    publisher = service.create_persistent_message_publisher_builder().on_back_pressure_reject(0)
    publisher = publisher.build()
    publisher.start()
    count = _Count(len(messages), window)
    publisher.set_message_publish_receipt_listener(count)
    content_type = {message_properties.HTTP_CONTENT_TYPE: messages[0].content_type}
    builder = service.message_builder().from_properties(content_type)
    begin = time.perf_counter()
    for message in messages:
        properties = {
            "JMSXGroupID": message.stream_id,
            message_properties.APPLICATION_MESSAGE_ID: message.event_id,
        }
        if message.correlation_id is not None:
            properties[message_properties.CORRELATION_ID] = message.correlation_id
        built = builder.build(bytearray(message.payload), additional_message_properties=properties)
        count.permits.acquire()
        publisher.publish(built, Topic.of(message.topic), user_context=message.event_id)
    assert count.done.wait(300)
    rate = len(messages) / (time.perf_counter() - begin)
    publisher.terminate(100)
    service.disconnect()
    return rate
