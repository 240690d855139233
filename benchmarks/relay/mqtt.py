"""MQTT: Mosquitto, and paho alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import click
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from tests.plugins.mosquitto import HINT, Mosquitto

from benchmarks.relay.witness import Witness
from eatool.demo.broker import find_mosquitto
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import MqttOptions
from eatool.publishing.port import Message, PublisherFactory


class MqttPeer:
    """See :class:`~benchmarks.relay.peers.Peer`."""

    raw = "paho"
    settings = "Mosquitto without persistence, QoS 1, MQTT 5"
    pid = None

    def __init__(self, folder: Path) -> None:
        """Start Mosquitto."""
        if find_mosquitto() is None:
            raise click.ClickException(HINT)
        self._broker = Mosquitto(folder / "broker", settings={"persistence": "false"})
        self._broker.start()
        self._witness = Witness(self._broker.port)

    def publish_raw(self, messages: Sequence[Message], window: int) -> float:
        """See the protocol."""
        return raw_paho(self._broker.port, messages, window)

    def factory(self) -> PublisherFactory:
        """See the protocol."""
        options = MqttOptions("127.0.0.1", self._broker.port)
        return lambda: MqttPublisher(options)

    def collect(self, expected: int) -> None:
        """See the protocol."""
        self._witness.collect(expected)

    def stop(self) -> None:
        """See the protocol."""
        self._broker.kill()


def raw_paho(port: int, messages: Sequence[Message], window: int) -> float:
    """Acked messages per second: paho's own network thread, nothing but publish and count."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(0)
    client.max_queued_messages_set(0)
    permits = threading.Semaphore(window)
    up, done = threading.Event(), threading.Event()
    left = len(messages)

    def acknowledged(*_: object) -> None:
        nonlocal left
        left -= 1
        permits.release()
        if not left:
            done.set()

    client.on_connect = lambda *_: up.set()
    client.on_publish = acknowledged
    client.connect("127.0.0.1", port)
    client.loop_start()
    up.wait(10)
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = messages[0].content_type
    properties.PayloadFormatIndicator = 1
    begin = time.perf_counter()
    for message in messages:
        permits.acquire()
        client.publish(message.topic, message.payload, 1, properties=properties)
    done.wait()
    rate = len(messages) / (time.perf_counter() - begin)
    client.disconnect()
    client.loop_stop()
    return rate
