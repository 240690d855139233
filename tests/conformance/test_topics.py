"""Topics and messages: wildcards, lengths, what is too large, what is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.conformance.capabilities import Feature
from tests.conformance.case import Case, eventually
from tests.plugins.mqtt_brokers import PRODUCTS, Brokers
from tests.plugins.mqtt_brokers.broker import MAX_PACKET
from tests.plugins.mqtt_brokers.peer import Refused
from tests.publishing.support import until

from eatool.publishing.mqtt_options import MqttOptions

LENGTHS = {
    Feature.TOPIC_255: 255,
    Feature.TOPIC_256: 256,
    Feature.TOPIC_5000: 5000,
    Feature.TOPIC_LONGEST: 65_535,
}


async def test_wildcards_select_what_they_should(case: Case) -> None:
    name = case.root.rpartition("/")[2]
    created = f"eatool/v1/prod/application/ApplicationCreated/{name}"
    deleted = f"eatool/v1/prod/application/ApplicationDeleted/{name}"
    others = f"eatool/v1/prod/capability/CapabilityCreated/{name}"
    staging = f"eatool/v1/staging/application/ApplicationCreated/{name}"
    by_kind = case.peer("eatool/v1/prod/application/#")
    by_name = case.peer(f"eatool/v1/+/+/ApplicationCreated/{name}")
    everything = case.peer("eatool/v1/#")
    topics = [created, deleted, others, staging]
    assert await case.fate(case.options(), *map(case.message, topics)) == "acknowledged"
    await until(lambda: len(everything.messages) == 4)
    await until(lambda: len(by_kind.messages) == len(by_name.messages) == 2)
    assert {message.topic for message in by_kind.messages} == {created, deleted}
    assert {message.topic for message in by_name.messages} == {created, staging}
    case.saw(Feature.WILDCARDS, "yes")


async def test_a_dot_in_a_level_is_no_separator(case: Case) -> None:
    """Kubernetes names may have dots, and some brokers separate levels with them inside."""
    case.saw(Feature.DOT, await case.delivered(f"{case.root}/web.shop/x"))


@pytest.mark.parametrize("feature", LENGTHS, ids=lambda feature: feature.name)
async def test_a_long_topic_passes(
    case: Case, feature: Feature, mqtt_brokers: Brokers, tmp_path: Path
) -> None:
    if case.expected(feature).harmful:
        case.broker = PRODUCTS[case.column.broker](tmp_path, mqtt_brokers.certificates)
    try:
        topic = f"{case.root}/".ljust(LENGTHS[feature], "x")
        case.saw(feature, await case.delivered(topic))
    finally:
        if case.expected(feature).harmful:
            case.broker.close()


async def test_what_is_too_large(case: Case) -> None:
    fits = await case.delivered(f"{case.root}/fits", b"x" * (MAX_PACKET - 4096))
    assert fits == "yes"
    large = b"x" * (MAX_PACKET + 1)
    topic = f"{case.root}/large"
    fate = await case.delivered(topic, large)
    case.saw(Feature.TOO_LARGE, "delivered all the same" if fate == "yes" else fate)
    if case.column.version == "5":
        with pytest.raises(Refused) as refused:
            await asyncio.to_thread(case.peer().publish, topic, large)
        case.saw(Feature.TOO_LARGE_SENT, str(refused.value))


async def test_own_limit_keeps_the_session_where_the_broker_would_end_it(case: Case) -> None:
    options: MqttOptions = case.options(max_packet_size=MAX_PACKET)
    large = case.message(f"{case.root}/large", b"x" * MAX_PACKET)
    assert await case.fate(options, large) == "not sent: over the announced limit"


async def test_retained_message_waits_for_subscribers(case: Case) -> None:
    topic = f"{case.root}/retained"
    publisher = case.peer()
    publisher.publish(topic, b"kept", retain=True)
    subscriber = case.peer(topic)
    got = await eventually(lambda: bool(subscriber.messages), 3)
    assert not got or subscriber.messages[0].retain
    publisher.publish(topic, b"", retain=True)
    case.saw(Feature.RETAINED, "yes" if got else "no")


async def test_our_messages_are_not_retained(case: Case) -> None:
    """A retained event would look to every new subscriber like one that happens now."""
    topic = f"{case.root}/x"
    assert await case.fate(case.options(), case.message(topic)) == "acknowledged"
    subscriber = case.peer(f"{case.root}/#")
    assert await case.fate(case.options(), case.message(f"{case.root}/y")) == "acknowledged"
    await until(lambda: bool(subscriber.messages))
    assert [message.topic for message in subscriber.messages] == [f"{case.root}/y"]


async def test_properties_arrive(case: Case) -> None:
    if case.column.version != "5":
        return
    subscriber = case.peer(f"{case.root}/#")
    assert await case.fate(case.options(), case.message(f"{case.root}/x")) == "acknowledged"
    await until(lambda: bool(subscriber.messages))
    properties = subscriber.messages[0].properties
    assert properties is not None
    seen = vars(properties)
    assert seen["ContentType"] == "application/json"
    assert seen["PayloadFormatIndicator"] == 1
    assert seen["UserProperty"] == [("id", "é"), ("type", "t")]
    case.saw(Feature.PROPERTIES, "yes")


async def test_a_message_expires_while_its_subscriber_is_away(case: Case) -> None:
    if case.column.version != "5":
        return
    subscriber = case.peer(f"{case.root}/#", persistent=True)
    subscriber.disconnect()
    publisher = case.peer()
    publisher.publish(f"{case.root}/short", b"gone", expiry=1)
    publisher.publish(f"{case.root}/long", b"there", expiry=600)
    await asyncio.sleep(2.5)
    subscriber.connect()
    await until(lambda: bool(subscriber.messages))
    topics = [message.topic for message in subscriber.messages]
    case.saw(Feature.EXPIRY, "yes" if topics == [f"{case.root}/long"] else "no")
