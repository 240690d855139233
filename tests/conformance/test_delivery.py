"""Acknowledged, delivered, in order; and nothing lost when the broker is killed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import ClassVar

import pytest
from tests.conformance.capabilities import Feature
from tests.conformance.case import Case, eventually
from tests.plugins.mqtt_brokers.tap import Tap
from tests.publishing.support import (
    QUICK,
    Writer,
    assert_complete_and_ordered,
    make_relay,
    running,
    stream,
    until,
)

from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.cloudevents import CloudEventsEncoder
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import MqttOptions, QoS
from eatool.publishing.port import Message
from eatool.publishing.relay import Relay
from eatool.publishing.topics import TopicTemplate
from eatool.store.memory import MemoryEventStore

#: Row of the table, QoS, and how many are in flight at most.
LEVELS: dict[Feature, tuple[QoS, int]] = {
    Feature.QOS_0: (0, 65_535),
    Feature.QOS_1: (1, 65_535),
    Feature.QOS_2: (2, 65_535),
    Feature.QOS_2_FEW: (2, 10),
}


class Recording(MqttPublisher):
    """Notes the ids of events the broker has acknowledged."""

    acknowledged: ClassVar[list[str]] = []

    def publish(self, message: Message) -> asyncio.Future[None]:
        answer = super().publish(message)
        answer.add_done_callback(partial(self._note, message.event_id))
        return answer

    def _note(self, event_id: str, answer: asyncio.Future[None]) -> None:
        if answer.exception() is None:
            self.acknowledged.append(event_id)


def relay_of(case: Case, store: MemoryEventStore, options: MqttOptions, window: int) -> Relay:
    """Publishes a log below the topics of this case."""
    return make_relay(
        store,
        lambda: Recording(options),
        MemoryCheckpoints(),
        encoder=CloudEventsEncoder(TopicTemplate(f"{case.root}/{{event_type}}/{{entity_id}}")),
        options=replace(QUICK, window=window),
    )


@pytest.mark.parametrize("feature", LEVELS, ids=lambda feature: feature.name)
async def test_everything_arrives(case: Case, feature: Feature) -> None:
    qos, in_flight = LEVELS[feature]
    subscriber = case.peer(f"{case.root}/#", qos=qos)
    messages = [case.message(f"{case.root}/{n}", b"%d" % n) for n in range(300)]
    fate = await case.fate(case.options(qos=qos, receive_maximum=in_flight), *messages)
    if fate != "acknowledged":
        case.saw(feature, fate)
        return
    await until(lambda: subscriber.distinct == len(messages))
    levels = {message.qos for message in subscriber.messages}
    case.saw(feature, "yes" if levels == {qos} else f"delivered with QoS {max(levels)}")


async def test_streams_keep_their_order_with_many_in_flight(case: Case) -> None:
    store = MemoryEventStore()
    writer = Writer(store)
    writer.write(map(stream, range(300)), rounds=4)
    subscriber = case.peer(f"{case.root}/#")
    async with running(relay_of(case, store, case.options(), 256)) as (relay,):
        await until(lambda: subscriber.distinct == writer.total, 30)
        assert relay.status().parked == 0
    repeats = assert_complete_and_ordered(subscriber.seen, writer.versions)
    case.saw(Feature.ORDER, "yes" if repeats == 0 else f"yes, {repeats} twice")


async def test_broker_is_killed_while_events_flow(case: Case) -> None:
    """One subscriber keeps up, another is away; both have sessions.

    Where the broker writes its sessions to disk late (Mosquitto), the subscriber acknowledges
    nothing before the kill: the kernel then delivers what the broker wrote to its socket, and
    does not reset the connection over unread bytes.
    """
    late = not case.broker.stores_first
    near = case.peer(f"{case.root}/#", persistent=True, acknowledge_later=late)
    away = case.peer(f"{case.root}/#", persistent=True)
    away.disconnect()
    await asyncio.to_thread(case.broker.save)
    store = MemoryEventStore()
    writer = Writer(store)
    acknowledged = Recording.acknowledged = []
    streams = [stream(number) for number in range(150)]
    async with running(relay_of(case, store, case.options(), 64)) as (relay,):
        writer.write(streams)
        await until(partial(enough, acknowledged, 40))
        assert relay.status().lag_events, "everything was through before the kill"
        case.broker.kill()
        before = len(acknowledged)
        await until(lambda: not relay.status().connected)
        await asyncio.to_thread(case.broker.start)
        writer.write(streams[:40])
        everything = await eventually(lambda: near.distinct == writer.total, 20)
        await until(lambda: relay.status().lag_events == 0)
        assert relay.status().parked == 0
    assert len(set(acknowledged)) == writer.total
    assert before < writer.total
    case.saw(Feature.KILLED, "yes" if everything else f"{writer.total - near.distinct} lost")
    assert_complete_and_ordered(near.seen, writer.versions)
    away.connect()
    kept = await eventually(lambda: away.distinct == writer.total, 3)
    case.saw(Feature.KILLED_OFFLINE, "yes" if kept else "no")


def enough(acknowledged: list[str], count: int) -> bool:
    return len(acknowledged) >= count


async def test_receive_maximum_is_respected(case: Case) -> None:
    if case.column.version != "5":
        return
    announced = case.peer().limits.get("ReceiveMaximum")
    assert announced is not None
    async with Tap(case.broker.port()) as tap:
        messages = [case.message(f"{case.root}/{n}") for n in range(1000)]
        assert await case.fate(case.options(port=tap.port), *messages) == "acknowledged"
        assert tap.most_outstanding <= announced
        case.saw(Feature.RECEIVE_MAXIMUM, f"{announced} announced, respected")
