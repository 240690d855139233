"""What is particular to MQTT: addresses, refusals, limits, properties on the wire."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from tests.plugins.certificates import Certificates
from tests.plugins.mosquitto import BrokerFactory, Mosquitto
from tests.publishing.subscriber import Subscriber
from tests.publishing.support import (
    Writer,
    assert_complete_and_ordered,
    event,
    make_relay,
    resident,
    running,
    stream,
    until,
)

from eatool.dev.smf.login import server_context
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import (
    MqttOptions,
    QoS,
    Version,
)
from eatool.publishing.mqtt_reasons import fault_of_session, refusal
from eatool.publishing.port import (
    Delivery,
    Fault,
    Message,
    PermanentPublishError,
    SessionLost,
    TransientPublishError,
)
from eatool.publishing.tls import TlsOptions
from eatool.store.memory import MemoryEventStore
from eatool.store.port import Append


def message(payload: bytes = b'{"a": 1}', topic: str = "eatool/x") -> Message:
    return Message(topic, payload, "application/json", {"id": "é", "type": "t"}, "id", "stream")


async def publish(options: MqttOptions, *messages: Message) -> None:
    publisher = MqttPublisher(options)
    await publisher.connect()
    try:
        async with asyncio.timeout(10):
            for each in messages:
                await publisher.publish(each)
    finally:
        await publisher.close()


def test_options_show_the_address_and_no_password() -> None:
    options = MqttOptions("broker.example", 8883, password="p/w", tls=TlsOptions())
    assert options.address == "mqtts://broker.example:8883"
    assert MqttOptions("::1").address == "mqtt://[::1]:1883"
    assert "p/w" not in repr(options)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0x00, None),
        (0x10, None),
        (0x80, "PublishError"),
        (0x83, "PublishError"),
        (0x87, "PermanentPublishError"),
        (0x90, "PermanentPublishError"),
        (0x97, "TransientPublishError"),
        (0x99, "PermanentPublishError"),
    ],
)
def test_reason_codes(code: int, expected: str | None) -> None:
    error = refusal(ReasonCode(PacketTypes.PUBACK, identifier=code))
    assert (None if error is None else type(error).__name__) == expected


async def test_properties_arrive_as_any_mqtt5_subscriber_reads_them(mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port)
    await publish(MqttOptions("127.0.0.1", mosquitto.port), message())
    await until(lambda: len(subscriber.messages) == 1)
    subscriber.close()
    properties = subscriber.messages[0].properties
    assert properties is not None
    seen = vars(properties)
    assert seen["ContentType"] == "application/json"
    assert seen["PayloadFormatIndicator"] == 1
    assert seen["UserProperty"] == [("id", "é"), ("type", "t")]


async def test_wrong_password_is_refused_without_showing_it(make_mosquitto: BrokerFactory) -> None:
    broker = make_mosquitto(users={"relay": "right"})
    broker.start()
    await publish(
        MqttOptions("127.0.0.1", broker.port, username="relay", password="right"), message()
    )
    versions: tuple[Version, ...] = ("5", "3.1.1")
    for version in versions:
        with pytest.raises(SessionLost, match=r"refused the connection|lost") as caught:
            await publish(
                MqttOptions(
                    "127.0.0.1", broker.port, version=version,
                    username="relay", password="wr0ng",
                )
            )  # fmt: skip
        assert caught.value.fault is Fault.LOGIN
        assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "fault"),
    [(0x85, Fault.CLIENT_ID), (0x86, Fault.LOGIN), (0x87, Fault.LOGIN), (0x88, Fault.CONNECTION)],
)
def test_what_a_refused_session_failed_at(code: int, fault: Fault) -> None:
    assert fault_of_session(ReasonCode(PacketTypes.CONNACK, identifier=code)) is fault


async def test_no_tls_version_in_common(certificates: Certificates) -> None:
    context = server_context(certificates.server, certificates.server_key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    tls = TlsOptions(
        certificates.ca, server_name="broker.test", minimum_version=ssl.TLSVersion.TLSv1_3
    )
    async with await asyncio.start_server(
        lambda _reader, writer: writer.close(), "127.0.0.1", ssl=context
    ) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SessionLost) as caught:
            await publish(MqttOptions("127.0.0.1", port, tls=tls), message())
    assert caught.value.fault is Fault.TLS


async def test_forbidden_topic_is_permanent(make_mosquitto: BrokerFactory) -> None:
    broker = make_mosquitto(acl="topic write allowed/#\n")
    broker.start()
    options = MqttOptions("127.0.0.1", broker.port)
    await publish(options, message(topic="allowed/x"))
    with pytest.raises(PermanentPublishError, match="Not authorized"):
        await publish(options, message(topic="forbidden/x"))


async def test_message_over_the_brokers_packet_limit_is_permanent(
    make_mosquitto: BrokerFactory,
) -> None:
    broker = make_mosquitto(settings={"max_packet_size": "1000"})
    broker.start()
    options = MqttOptions("127.0.0.1", broker.port)
    await publish(options, message(b"x" * 800))
    with pytest.raises(PermanentPublishError, match="too large, the limit is 1000"):
        await publish(options, message(b"x" * 1000))


async def test_own_packet_limit_serves_mqtt_311(mosquitto: Mosquitto) -> None:
    options = MqttOptions("127.0.0.1", mosquitto.port, version="3.1.1", max_packet_size=500)
    with pytest.raises(PermanentPublishError, match="too large"):
        await publish(options, message(b"x" * 500))


async def test_what_mqtt_311_forbids_is_acknowledged_and_dropped(
    make_mosquitto: BrokerFactory,
) -> None:
    """The protocol has no way to say no: use MQTT 5 where access rules matter.

    Mosquitto 2.0.11 ends the session after a refusal as well.
    """
    broker = make_mosquitto(acl="topic write allowed/#\ntopic read #\n")
    broker.start()
    subscriber = Subscriber(broker.port, "#")
    forbidden, allowed = message(topic="forbidden/x"), message(topic="allowed/x")
    options = MqttOptions("127.0.0.1", broker.port, version="3.1.1")
    await publish(options, forbidden)
    await publish(options, allowed)
    await until(lambda: bool(subscriber.messages))
    subscriber.close()
    assert [each.topic for each in subscriber.messages] == ["allowed/x"]


async def test_mqtt_311_session_ends_on_what_is_too_large(make_mosquitto: BrokerFactory) -> None:
    broker = make_mosquitto(settings={"max_packet_size": "1000"})
    broker.start()
    options = MqttOptions("127.0.0.1", broker.port, version="3.1.1")
    with pytest.raises(SessionLost):
        await publish(options, message(b"x" * 1000))


async def test_too_large_for_mqtt_311_parks_its_stream_and_the_others_flow(
    make_mosquitto: BrokerFactory,
) -> None:
    broker = make_mosquitto(settings={"max_packet_size": "2000"})
    broker.start()
    store, checkpoints = MemoryEventStore(), MemoryCheckpoints()
    large = replace(event(stream(1), 1), data={"description": "x" * 3000})
    store.append(Append(stream(1), 0, (large,)))
    writer = Writer(store)
    others = [stream(number) for number in range(2, 30)]
    subscriber = Subscriber(broker.port)
    options = MqttOptions("127.0.0.1", broker.port, version="3.1.1")
    relay = make_relay(store, lambda: MqttPublisher(options), checkpoints)
    async with running(relay):
        while not relay.status().parked:
            writer.write(others)
            await asyncio.sleep(0.05)
        await until(lambda: relay.status().lag_events == 0)
        await until(lambda: subscriber.distinct == writer.total)
    subscriber.close()
    (parked,) = checkpoints.parked("test")
    assert parked.stream_id == stream(1)
    assert "the session ended" in parked.reason
    assert_complete_and_ordered(subscriber.seen, writer.versions)


async def test_topic_with_a_wildcard_is_permanent(mosquitto: Mosquitto) -> None:
    with pytest.raises(PermanentPublishError, match="wildcard"):
        await publish(MqttOptions("127.0.0.1", mosquitto.port), message(topic="a/+"))


async def test_silent_broker_does_not_block_connecting(mosquitto: Mosquitto) -> None:
    mosquitto.silence()
    publisher = MqttPublisher(MqttOptions("127.0.0.1", mosquitto.port, connect_timeout=0.3))
    with pytest.raises(SessionLost, match="no answer to CONNECT"):
        await publisher.connect()
    await publisher.close()


async def test_silent_broker_is_noticed_by_keepalive(mosquitto: Mosquitto) -> None:
    publisher = MqttPublisher(MqttOptions("127.0.0.1", mosquitto.port, keepalive=1))
    await publisher.connect()
    mosquitto.silence()
    async with asyncio.timeout(10):
        assert isinstance(await publisher.lost(), TransientPublishError)
    await publisher.close()


async def test_server_certificate_is_verified(
    make_mosquitto: BrokerFactory, certificates: Certificates
) -> None:
    broker = make_mosquitto(certificates=certificates)
    broker.start()
    wrong_name = MqttOptions("127.0.0.1", broker.port, tls=TlsOptions(certificates.ca))
    with pytest.raises(SessionLost, match="CERTIFICATE_VERIFY_FAILED") as refused:
        await publish(wrong_name)
    assert refused.value.fault is Fault.CERTIFICATE
    unknown_ca = MqttOptions("127.0.0.1", broker.port, tls=TlsOptions(server_name="broker.test"))
    with pytest.raises(SessionLost, match="CERTIFICATE_VERIFY_FAILED"):
        await publish(unknown_ca)
    missing = MqttOptions("127.0.0.1", broker.port, tls=TlsOptions(Path("/nowhere/ca.pem")))
    with pytest.raises(SessionLost, match="no such file"):
        await publish(missing)


async def test_retained_message_waits_for_new_subscribers_and_expires(mosquitto: Mosquitto) -> None:
    options = MqttOptions("127.0.0.1", mosquitto.port, retain=True)
    kept, gone = message(topic="eatool/kept"), message(topic="eatool/gone")
    kept.delivery, gone.delivery = Delivery(ttl=3600), Delivery(ttl=1)
    await publish(options, kept, gone)
    await asyncio.sleep(2.1)  # Mosquitto counts whole seconds
    subscriber = Subscriber(mosquitto.port)
    await until(lambda: bool(subscriber.messages))
    subscriber.close()
    (seen,) = subscriber.messages
    assert (seen.topic, seen.retain) == ("eatool/kept", True)
    assert 3590 < vars(seen.properties)["MessageExpiryInterval"] < 3600


async def test_nothing_is_retained_unless_asked_for(mosquitto: Mosquitto) -> None:
    for version in ("5", "3.1.1"):
        await publish(MqttOptions("127.0.0.1", mosquitto.port, version=version), message())
    subscriber = Subscriber(mosquitto.port)
    live = message(topic="eatool/live")
    await publish(MqttOptions("127.0.0.1", mosquitto.port), live)
    await until(lambda: bool(subscriber.messages))
    subscriber.close()
    assert [seen.topic for seen in subscriber.messages] == ["eatool/live"]


@pytest.mark.parametrize("qos", [1, 2])
async def test_memory_stays_flat(mosquitto: Mosquitto, qos: QoS) -> None:
    """20,000 messages of 2 KB leave less than half of their size behind."""
    publisher = MqttPublisher(MqttOptions("127.0.0.1", mosquitto.port, qos=qos))
    await publisher.connect()

    async def publish_many(count: int) -> None:
        for start in range(0, count, 500):
            numbers = range(start, start + 500)
            await asyncio.gather(*(publisher.publish(message(b"%2000d" % n)) for n in numbers))

    await publish_many(3000)
    before = resident()
    await publish_many(20_000)
    assert resident() - before < 20_000_000
    await publisher.close()
