"""Guaranteed messages of the real client: stored in order, told of, rejected."""

from __future__ import annotations

from tests.dev.smf.conftest import Connect
from tests.plugins.solace import MakeSolace

from eatool.dev.smf import DeliveryMode, Limits, Nack, Outcome, SmfBroker, replies

CONTENT = {"JMSXGroupID": "order-1", "attempt": 1, "ratio": 0.5, "final": True}
HEADERS = {
    "solace.messaging.message.persistent.time-to-live": 60_000,
    "solace.messaging.message.priority": 5,
}


def test_everything_of_a_message_arrives(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace, name="content")
    message = (
        client.service.message_builder()
        .with_application_message_id("evt-1")
        .with_application_message_type("order.created")
        .with_correlation_id("corr-1")
        .with_sequence_number(7)
        .with_expiration(1_900_000_000_000)
        .with_http_content_header("application/json", "utf-8")
        .from_properties(HEADERS | CONTENT)
        .build(bytearray(b'{"a": 1}'))
    )
    client.publish_built(message, "acme/orders/created")
    assert client.receipts.wait(1)
    (got,) = solace.stored()
    assert got.topic == "acme/orders/created"
    assert got.payload == got.content == b'{"a": 1}'
    assert got.application_message_id == "evt-1"
    assert got.correlation_id == "corr-1"
    assert got.user_properties == CONTENT
    assert got.time_to_live_ms == 60_000
    assert got.priority == 5
    assert got.delivery_mode is DeliveryMode.PERSISTENT
    assert got.dmq_eligible
    assert not got.redelivered
    assert got.client_name == "content"
    assert (
        got.headers
        | {
            "application_message_type": "order.created",
            "sequence_number": 7,
            "http_content_type": "application/json",
            "http_content_encoding": "utf-8",
        }
        == got.headers
    )


def test_an_expiration_arrives(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace)
    builder = client.service.message_builder().with_expiration(1_900_000_000_000)
    client.publish_built(builder.build(bytearray(b"x")))
    assert client.receipts.wait(1)
    assert [m.expiration for m in solace.stored()] == [1_900_000_000_000]


def test_text_and_maps_arrive_as_such(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace)
    contents = ["text", {"k": [1, "x"], "none": None}, "ü" * 300]
    for content in contents:
        client.publish_message(content)
    assert client.receipts.wait(3)
    assert [m.content for m in solace.stored()] == [
        "text",
        {"k": [1, "x"], "none": None},
        "ü" * 300,
    ]


def test_a_thousand_are_stored_and_confirmed_in_order(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace)
    client.publish(range(1000))
    assert client.receipts.wait(1000)
    assert client.receipts.confirmed == list(range(1000))
    assert [int(m.payload) for m in solace.stored()] == list(range(1000))
    assert [m.message_id for m in solace.stored()] == list(range(1, 1001))
    assert 0 < solace.ack_count <= 1000


def test_a_window_is_all_that_is_in_flight(solace: SmfBroker, connect: Connect) -> None:
    solace.faults.withhold_acks = True
    client = connect(solace)
    client.publish(range(300))
    assert solace.wait_for_stored(255)
    assert not solace.wait_for_stored(256, timeout=0.3)
    solace.faults.withhold_acks = False
    assert client.receipts.wait(300)  # after the client's next retransmission
    assert [int(m.payload) for m in solace.stored()] == list(range(300))


def test_rejections_come_as_what_they_are(solace: SmfBroker, connect: Connect) -> None:
    rejections = {
        "acl": (replies.PUBLISH_ACL_DENIED, "MessageRejectedByBrokerError PUBLISH_ACL_DENIED"),
        "quota": (replies.SPOOL_OVER_QUOTA, "PubSubPlusClientError SPOOL_OVER_QUOTA"),
        "large": (replies.MESSAGE_TOO_LARGE, "PubSubPlusClientError MESSAGE_TOO_LARGE"),
        "topic": (replies.INVALID_TOPIC, "PubSubPlusClientError INVALID_TOPIC_SYNTAX"),
        "down": (replies.QUEUE_SHUTDOWN, "PubSubPlusClientError QUEUE_SHUTDOWN"),
        "standby": (
            replies.REPLICATION_IS_STANDBY,
            "PubSubPlusClientError REPLICATION_IS_STANDBY",
        ),
        "unmatched": (
            replies.NO_SUBSCRIPTION_MATCH,
            "MessageDestinationDoesNotExistError NO_SUBSCRIPTION_MATCH",
        ),
    }
    solace.faults.nacks = [Nack(reply, topic) for topic, (reply, _) in rejections.items()]
    client = connect(solace)
    for number, topic in enumerate(rejections):
        client.publish([topic], topic)
        client.publish([number], "fine")
    assert client.receipts.wait(2 * len(rejections))
    assert client.receipts.rejected == {topic: what for topic, (_, what) in rejections.items()}
    assert client.receipts.confirmed == list(range(len(rejections)))
    assert [int(m.payload) for m in solace.stored()] == list(range(len(rejections)))


def test_a_rejection_can_end_after_a_few(solace: SmfBroker, connect: Connect) -> None:
    solace.faults.nacks = [Nack(replies.SPOOL_OVER_QUOTA, times=2)]
    client = connect(solace)
    client.publish(range(4))
    assert client.receipts.wait(4)
    assert client.receipts.confirmed == [2, 3]


def test_a_rejection_the_client_has_not_heard_of_is_repeated(
    solace: SmfBroker, connect: Connect
) -> None:
    solace.faults.withhold_acks = True
    solace.faults.nacks = [Nack(replies.PUBLISH_ACL_DENIED, "acl", times=1)]
    client = connect(solace)
    client.publish([1])
    client.publish(["acl"], "acl")
    client.publish([2])
    assert solace.wait_for_received(3)
    solace.faults.withhold_acks = False
    solace.cut_connections()
    assert client.receipts.wait(3)
    assert client.receipts.confirmed == [1, 2]
    assert [m.payload for m in solace.stored()] == [b"1", b"2"]


def test_queues_have_quotas_and_attract(make_solace: MakeSolace, connect: Connect) -> None:
    broker = make_solace(reject_unmatched=True)
    queue = broker.add_queue("orders", "acme/orders/>", max_messages=2)
    client = connect(broker)
    client.publish(["1", "2", "3"])
    client.publish(["lost"], "elsewhere")
    assert client.receipts.wait(4)
    assert client.receipts.confirmed == ["1", "2"]
    assert client.receipts.rejected == {
        "3": "PubSubPlusClientError SPOOL_OVER_QUOTA",
        "lost": "MessageDestinationDoesNotExistError NO_SUBSCRIPTION_MATCH",
    }
    assert queue.depth == 2


def test_sizes_are_limited(make_solace: MakeSolace, connect: Connect) -> None:
    limits = Limits(message_bytes=1000, announced_message_bytes=5000)
    broker = make_solace(limits=limits)
    client = connect(broker)
    client.publish(["x" * 1000, "x" * 1001])
    assert client.receipts.wait(2)
    assert client.receipts.confirmed == ["x" * 1000]
    assert client.receipts.rejected == {"x" * 1001: "PubSubPlusClientError MESSAGE_TOO_LARGE"}


def test_topics_have_no_more_than_128_levels(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace)
    client.publish(["fits"], "/".join("a" * 125))
    assert client.receipts.wait(1)
    client.publish(["deep"], "/" * 128)
    assert client.receipts.wait(2)
    assert client.receipts.rejected == {"deep": "PubSubPlusClientError INVALID_TOPIC_SYNTAX"}


def test_direct_messages_are_seen_but_not_stored(solace: SmfBroker, connect: Connect) -> None:
    connect(solace).direct()("a/b", b"x")
    assert solace.wait_for_received(1)
    (message,) = solace.messages()
    assert (message.topic, message.outcome) == ("a/b", Outcome.DIRECT)
    assert message.delivery_mode is DeliveryMode.DIRECT
    assert solace.stored() == []
