#!/usr/bin/env python3
"""Mirror the registry from an MQTT 5 broker, each event once, however often it is sent.

    python examples/subscribers/mqtt_subscriber.py --host broker --topic 'eatool/v1/prod/#'

The session is persistent: the broker keeps what is published while this program is away. A message
is acknowledged after its effect is committed; what a crash leaves open comes again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from mirror import Mirror
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from eatool.consuming import Subscription

WEEK = 7 * 24 * 3600


def arguments() -> argparse.Namespace:
    """Options; the password comes from MQTT_PASSWORD."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--topic", default="eatool/v1/+/#")
    parser.add_argument("--client-id", default="eatool-mirror", help="names the session")
    parser.add_argument("--database", type=Path, default=Path("mirror.db"))
    parser.add_argument("--username")
    parser.add_argument("--ca", help="file of the CA; switches TLS on")
    parser.add_argument("--late-start", action="store_true", help="the session is new, the log old")
    parser.add_argument("--filtered", action="store_true", help="--topic leaves event types out")
    options = parser.parse_args()
    if options.ca and not Path(options.ca).is_file():
        parser.error(f"--ca: {options.ca} is not a file")
    return options


def follow(options: argparse.Namespace) -> str | None:
    """Mirror until the broker refuses; what it said. Raises when it cannot be reached at first."""
    subscription = Subscription(from_beginning=not options.late_start, filtered=options.filtered)
    mirror = Mirror(options.database, subscription)
    refused: list[str] = []
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        protocol=MQTTProtocolVersion.MQTTv5,
        manual_ack=True,
    )
    if options.username:
        client.username_pw_set(options.username, os.environ.get("MQTT_PASSWORD"))
    if options.ca:
        client.tls_set(options.ca)

    def on_connect(
        _: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, *_rest: Any
    ) -> None:
        if code.is_failure:
            refused.append(str(code))
            client.disconnect()
        else:
            client.subscribe(options.topic, qos=1)

    def on_subscribe(
        _: Client, _data: Any, _mid: int, codes: list[ReasonCode], *_rest: Any
    ) -> None:
        if codes[0].is_failure:
            refused.append(f"{options.topic}: {codes[0]}")
            client.disconnect()
        else:
            print("subscribed to", options.topic, flush=True)

    def on_message(_: Client, _data: Any, message: MQTTMessage) -> None:
        headers = dict(getattr(message.properties, "UserProperty", ()))
        mirror.take(message.payload, headers)  # committed when it returns; raising ends the program
        client.ack(message.mid, message.qos)

    def on_disconnect(_: Client, _data: Any, _flags: Any, code: ReasonCode, *_rest: Any) -> None:
        if not refused:
            print(f"connection lost: {code}; trying again", file=sys.stderr, flush=True)

    client.on_connect, client.on_disconnect = on_connect, on_disconnect
    client.on_subscribe, client.on_message = on_subscribe, on_message
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = WEEK
    properties.ReceiveMaximum = 100  # unacknowledged at once: the most that comes again
    client.connect(options.host, options.port, clean_start=False, properties=properties)
    try:
        client.loop_forever()
    except KeyboardInterrupt:
        client.on_disconnect = None
        client.disconnect()
    return refused[0] if refused else None


def main() -> int:
    """Run until SIGTERM or SIGINT; 1 when there is no broker, or it refuses."""
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGINT):  # SIGINT too: scripts start with it ignored
        signal.signal(number, signal.default_int_handler)
    try:
        refusal = follow(options)
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"{options.host}:{options.port}: {error.strerror or error}", file=sys.stderr)
        return 1
    except sqlite3.Error as error:
        print(f"{options.database}: {error}", file=sys.stderr)
        return 1
    if refusal:
        print(f"refused: {refusal}", file=sys.stderr)
    return 1 if refusal else 0


if __name__ == "__main__":
    sys.exit(main())
