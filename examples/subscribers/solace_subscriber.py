#!/usr/bin/env python3
"""Mirror the registry from a queue of a Solace broker, each event once, however often it is sent.

    python examples/subscribers/solace_subscriber.py --host tcp://broker:55555 --username mirror

The queue, with a topic subscription such as ``eatool/v1/prod/>``, is there before. A message is
acknowledged after its effect is committed; what a crash leaves open comes again. The program ends
when it loses the broker: let whatever runs it start it again.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from mirror import Mirror

from eatool.consuming import Subscription

try:
    from solace.messaging.config.retry_strategy import RetryStrategy
    from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
    from solace.messaging.messaging_service import (
        MessagingService,
        ServiceEvent,
        ServiceInterruptionListener,
    )
    from solace.messaging.resources.queue import Queue
except ImportError:
    sys.exit("the client library of Solace is not installed: pip install '.[solace]'")


class Loss(ServiceInterruptionListener):
    """Ends the loop when the broker is gone for good."""

    def __init__(self) -> None:
        self.happened = False

    def on_service_interrupted(self, event: ServiceEvent) -> None:
        """The client gave up; called on a thread of its own."""
        self.happened = True


def arguments() -> argparse.Namespace:
    """Options; the password comes from SOLACE_PASSWORD."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", default="tcp://127.0.0.1:55555")
    parser.add_argument("--vpn", default="default")
    parser.add_argument("--username", required=True)
    parser.add_argument("--queue", default="eatool-mirror")
    parser.add_argument("--trust-store", help="directory of CA certificates, for tcps://")
    parser.add_argument("--database", type=Path, default=Path("mirror.db"))
    parser.add_argument("--late-start", action="store_true", help="the queue is newer than the log")
    parser.add_argument("--filtered", action="store_true", help="its topics leave event types out")
    return parser.parse_args()


def connected(options: argparse.Namespace) -> MessagingService:
    """A service that is logged in and does not reconnect by itself."""
    properties = {
        "solace.messaging.transport.host": options.host,
        "solace.messaging.service.vpn-name": options.vpn,
        "solace.messaging.authentication.basic.username": options.username,
        "solace.messaging.authentication.basic.password": os.environ.get("SOLACE_PASSWORD", ""),
    }
    if options.trust_store:
        properties["solace.messaging.tls.trust-store-path"] = options.trust_store
    service: MessagingService = (
        MessagingService.builder()
        .from_properties(properties)
        .with_reconnection_retry_strategy(RetryStrategy.never_retry())
        .build()
    )
    service.connect()
    return service


def follow(options: argparse.Namespace, stop: threading.Event) -> int:
    """Mirror until ``stop`` is set, or until the broker is lost: 1."""
    mirror = Mirror(
        options.database,
        Subscription(from_beginning=not options.late_start, filtered=options.filtered),
    )
    loss = Loss()
    service = connected(options)
    try:
        service.add_service_interruption_listener(loss)
        receiver = (
            service.create_persistent_message_receiver_builder()
            .with_message_client_acknowledgement()
            .build(Queue.durable_exclusive_queue(options.queue))
        )
        receiver.start()
        print("receiving from", options.queue, flush=True)
        while not (stop.is_set() or loss.happened):
            message = receiver.receive_message(timeout=500)
            if message is not None:
                payload = message.get_payload_as_bytes() or b""
                mirror.take(payload, message.get_properties())  # committed when it returns
                receiver.ack(message)
        receiver.terminate()
    finally:
        service.disconnect()
    if loss.happened:
        print(f"{options.host}: connection lost", file=sys.stderr)
    return int(loss.happened)


def main() -> int:
    """Run until SIGTERM or SIGINT; 1 when there is no broker, it refuses, or is lost."""
    options = arguments()
    logging.disable(logging.ERROR)  # the library logs what it also raises
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        return follow(options, stop)
    except PubSubPlusClientError as error:
        said = re.search(r"'error_info_contents': ['\"](.+?)['\"][,}]", str(error))
        print(f"{options.host}: {said[1] if said else error}", file=sys.stderr)
    except sqlite3.Error as error:
        print(f"{options.database}: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
