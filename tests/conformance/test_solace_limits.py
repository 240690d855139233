"""Our adapter within the limits that Solace documents for MQTT clients, as HiveMQ enforces them.

An emulation of limits by another broker's configuration, not Solace: how Solace words a refusal,
its sessions, its spool and its access rules are not shown here. docs/mqtt-conformance.md names the
sources. What cannot be configured is checked on our side: 128 topic levels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.conformance.capabilities import Column
from tests.conformance.case import Case, Sheet
from tests.plugins.certificates import Certificates
from tests.plugins.mqtt_brokers import require
from tests.plugins.mqtt_brokers.broker import MAX_PACKET
from tests.plugins.mqtt_brokers.hivemq import HiveMqBroker
from tests.publishing.support import (
    Writer,
    assert_complete_and_ordered,
    event,
    make_relay,
    running,
    stream,
    until,
)

from eatool.domain.identity import EntityRef
from eatool.domain.kinds import event_types
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.cloudevents import CloudEventsEncoder
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import Version
from eatool.publishing.port import Fault, SessionLost
from eatool.publishing.topics import TopicTemplate
from eatool.store.memory import MemoryEventStore
from eatool.store.port import Append

TOPIC_BYTES = 250
TOPIC_LEVELS = 128
CLIENT_ID_CHARACTERS = 128
#: Solace documents no number; a small one shows that any is kept.
WINDOW = 8


class SolaceLimits(HiveMqBroker):
    """QoS 1 at most, nothing retained, short topics and client ids, a small window."""

    name = "solace-limits"
    title = "the limits of Solace in HiveMQ CE"
    mqtt = f"""
        <quality-of-service><max-qos>1</max-qos></quality-of-service>
        <retained-messages><enabled>false</enabled></retained-messages>
        <receive-maximum><server-receive-maximum>{WINDOW}</server-receive-maximum></receive-maximum>
        <packets><max-packet-size>{MAX_PACKET}</max-packet-size></packets>
    """
    restrictions = f"""
        <max-client-id-length>{CLIENT_ID_CHARACTERS}</max-client-id-length>
        <max-topic-length>{TOPIC_BYTES}</max-topic-length>
    """


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SolaceLimits]:
    require(SolaceLimits)
    folder = tmp_path_factory.mktemp("solace-limits")
    broker = SolaceLimits(folder / "broker", Certificates.create(folder))
    yield broker
    broker.close()


@pytest.fixture(params=["5", "3.1.1"])
def case(request: pytest.FixtureRequest, limited: SolaceLimits) -> Iterator[Case]:
    version: Version = request.param
    case = Case(limited, Column("hivemq", version), Sheet(), limited.certificates)
    yield case
    for peer in case.peers:
        peer.disconnect()


async def test_relay_delivers_in_order_within_the_limits(case: Case) -> None:
    store = MemoryEventStore()
    writer = Writer(store)
    writer.write(map(stream, range(100)), rounds=3)
    env = case.root.rpartition("/")[2]
    subscriber = case.peer(f"eatool/v1/{env}/application/#")
    relay = make_relay(
        store,
        lambda: MqttPublisher(case.options()),
        MemoryCheckpoints(),
        encoder=CloudEventsEncoder(TopicTemplate(env=env)),
    )
    async with running(relay):
        await until(lambda: subscriber.distinct == writer.total, 20)
    assert assert_complete_and_ordered(subscriber.seen, writer.versions) == 0


async def test_a_topic_over_the_limit_parks_its_stream_only(case: Case) -> None:
    """Solace closes the connection on it; so does this broker."""
    store, checkpoints = MemoryEventStore(), MemoryCheckpoints()
    name = "application/shop/" + "x" * 253  # a Kubernetes name may be that long
    store.append(Append(name, 0, (event(name, 1),)))
    writer = Writer(store)
    others = [stream(number) for number in range(20)]
    env = case.root.rpartition("/")[2]
    subscriber = case.peer(f"eatool/v1/{env}/#")
    relay = make_relay(
        store,
        lambda: MqttPublisher(case.options()),
        checkpoints,
        encoder=CloudEventsEncoder(TopicTemplate(env=env)),
    )
    async with running(relay):
        async with asyncio.timeout(20):
            while not relay.status().parked:
                writer.write(others)
                await asyncio.sleep(0.05)
        await until(lambda: relay.status().lag_events == 0)
        await until(lambda: subscriber.distinct == writer.total)
    assert [parked.stream_id for parked in checkpoints.parked("test")] == [name]
    assert_complete_and_ordered(subscriber.seen, writer.versions)


async def test_qos_2_is_refused_before_anything_is_sent(limited: SolaceLimits) -> None:
    """Where MQTT 5 announces it. (Solace itself takes QoS 2 and treats it as QoS 1.)"""
    case = Case(limited, Column("hivemq", "5"), Sheet(), limited.certificates)
    with pytest.raises(SessionLost, match="broker allows QoS 1 at most"):
        await MqttPublisher(case.options(qos=2)).connect()


async def test_client_ids_up_to_the_limit(limited: SolaceLimits) -> None:
    """The relay adds 13 characters of its own to the prefix."""
    case = Case(limited, Column("hivemq", "5"), Sheet(), limited.certificates)
    prefix = "x" * (CLIENT_ID_CHARACTERS - 13)
    assert await case.fate(case.options(client_id=prefix)) == "acknowledged"
    with pytest.raises(SessionLost, match="Client identifier not valid") as caught:
        await MqttPublisher(case.options(client_id=prefix + "x")).connect()
    assert caught.value.fault is Fault.CLIENT_ID


def test_names_of_170_characters_fit_the_topic() -> None:
    template = TopicTemplate(env="prod")
    longest = max(
        (
            template.topic(EntityRef(kind.aggregate_type, "n" * 63, "x" * 170), versioned_type)
            for versioned_type, (kind, _) in event_types().items()
        ),
        key=len,
    )
    assert len(longest) <= TOPIC_BYTES
    assert longest.count("/") < TOPIC_LEVELS
