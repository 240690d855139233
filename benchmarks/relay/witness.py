"""A subscriber with a persistent session, offline while the clock runs.

The broker queues for it during a round, which costs both sides the same; afterwards it takes
delivery and checks what arrived.
"""

from __future__ import annotations

import threading
from collections import defaultdict

import orjson
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


class Witness:
    """Counts events, missing versions and inversions of one round."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._client_id = "witness"
        self._connect(expected=0)

    def collect(self, expected: int) -> None:
        """Take ``expected`` messages; ``AssertionError`` when one is lost, repeated or early."""
        seen = self._connect(expected)
        highest: dict[str, int] = defaultdict(int)
        for stream, version in seen:
            assert version == highest[stream] + 1, f"{stream}: {version} after {highest[stream]}"
            highest[stream] = version
        assert len(seen) == expected, f"{len(seen)} of {expected} events arrived"

    def _connect(self, expected: int) -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []
        done, subscribed = threading.Event(), threading.Event()

        def received(_client: Client, _data: object, message: MQTTMessage) -> None:
            body = orjson.loads(message.payload)
            seen.append((body["partitionkey"], int(body["sequence"])))
            if len(seen) == expected:
                done.set()

        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        client.on_message = received
        client.on_subscribe = lambda *_: subscribed.set()

        def connected(*_: object) -> None:
            client.subscribe("eatool/#", qos=1)

        client.on_connect = connected
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
        client.connect("127.0.0.1", self._port, clean_start=False, properties=properties)
        client.loop_start()
        assert subscribed.wait(120)  # what waited in the session comes first
        if expected:
            done.wait(120)
        client.disconnect()
        client.loop_stop()
        return seen
