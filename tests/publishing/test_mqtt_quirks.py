"""What two real brokers do with events they cannot take, and that the relay copes with it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest
from tests.plugins.mqtt_brokers import Brokers, mqtt_brokers
from tests.plugins.mqtt_brokers.broker import MAX_PACKET, PASSWORD, USER, Broker
from tests.plugins.mqtt_brokers.nats import NatsBroker
from tests.plugins.mqtt_brokers.peer import Peer
from tests.plugins.mqtt_brokers.rabbitmq import RabbitBroker
from tests.publishing.support import QUICK, Writer, make_relay, running, stream, until

from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.cloudevents import CloudEventsEncoder
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import MqttOptions
from eatool.publishing.port import Message
from eatool.publishing.relay import Relay
from eatool.publishing.topics import TopicTemplate, decode_level
from eatool.store.encoding import StoredEvent
from eatool.store.memory import MemoryEventStore

__all__ = ["mqtt_brokers"]

ROOT = f"eatool/quirks-{os.getpid()}"
LARGE = stream(0)


_encoder = CloudEventsEncoder(
    TopicTemplate(f"{ROOT}/{{event_type}}/{{entity_id}}", encode_dots=True)
)


def encoded(event: StoredEvent) -> Message:
    """``LARGE`` is over the limit; the log itself takes 64 KiB at most."""
    message = _encoder(event)
    if event.stream_id == LARGE:
        message.payload += b" " * MAX_PACKET
    return message


def relay_to(
    broker: Broker, store: MemoryEventStore, checkpoints: MemoryCheckpoints, ack_timeout: float
) -> Relay:
    options = MqttOptions(
        "127.0.0.1", broker.port(), version="3.1.1", username=USER, password=PASSWORD
    )
    return make_relay(
        store,
        lambda: MqttPublisher(options),
        checkpoints,
        encoder=encoded,
        options=replace(QUICK, ack_timeout=ack_timeout),
    )


async def test_event_over_the_limit_of_rabbitmq_parks_and_holds_up_nobody(
    mqtt_brokers: Brokers,
    store: MemoryEventStore,
    writer: Writer,
    checkpoints: MemoryCheckpoints,
) -> None:
    """It answers nothing any more in a session that has carried such a message."""
    broker = mqtt_brokers.get(RabbitBroker)
    relay = relay_to(broker, store, checkpoints, ack_timeout=1.5)
    others = [stream(number) for number in range(1, 20)]
    writer.write([LARGE])
    writer.write(others)
    subscriber = Peer(broker.port(), "3.1.1")
    subscriber.connect()
    subscriber.subscribe(f"{ROOT}/#", 1)
    async with running(relay):
        await until(lambda: subscriber.distinct == len(others), 30)
        async with asyncio.timeout(60):
            while not checkpoints.parked("test"):
                writer.write(others[:1])
                await asyncio.sleep(0.1)
        writer.write(others)
        await until(lambda: subscriber.distinct == writer.total - 1, 30)
    subscriber.disconnect()
    (parked,) = checkpoints.parked("test")
    assert (parked.stream_id, parked.attempts) == (LARGE, QUICK.max_disconnects)
    assert "fell silent" in parked.reason


@pytest.mark.parametrize("product", [RabbitBroker, NatsBroker])
async def test_encoded_dots_stay_in_their_level(
    mqtt_brokers: Brokers,
    store: MemoryEventStore,
    writer: Writer,
    checkpoints: MemoryCheckpoints,
    product: type[Broker],
) -> None:
    broker = mqtt_brokers.get(product)
    subscriber = Peer(broker.port(), "3.1.1")
    subscriber.connect()
    subscriber.subscribe(f"{ROOT}/+/+", 1)
    writer.write(["application/shop/web.shop.v2"])
    async with running(relay_to(broker, store, checkpoints, ack_timeout=5)):
        await until(lambda: bool(subscriber.messages))
    subscriber.disconnect()
    name = subscriber.messages[0].topic.rpartition("/")[2]
    assert (name, decode_level(name)) == ("web%2Eshop%2Ev2", "web.shop.v2")
