"""Subscribers of topics and consumers of queues, with the real client."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dev.smf.conftest import Connect

from eatool.dev.smf import SmfBroker

KIND = "eatool/v1/prod/application"


def received(receiver: Any, count: int) -> list[Any]:
    """So many messages; fewer if they do not come."""
    messages: list[Any] = []
    while len(messages) < count and (message := receiver.receive_message(2000)) is not None:
        messages.append(message)
    return messages


def payloads(messages: list[Any]) -> list[str]:
    return [bytes(message.get_payload_as_bytes()).decode() for message in messages]


def test_a_subscriber_gets_what_matches(solace: SmfBroker, connect: Connect) -> None:
    subscriber = connect(solace, name="subscriber")
    receiver = subscriber.subscribe(f"{KIND}/>", "a/*/c", "pre/fix*/x")
    publisher = connect(solace, name="publisher")
    publish = publisher.direct()
    wanted = [f"{KIND}/ApplicationCreated/webshop", f"{KIND}/x", "a/b/c", "pre/fixed/x"]
    for topic in (*wanted[:2], KIND, "a/b/d", "a/b/c/d", "pre/xfix/x", *wanted[2:]):
        publish(topic, topic.encode())
    publisher.publish(["guaranteed"], f"{KIND}/ApplicationDeleted/webshop")
    assert payloads(received(receiver, 5)) == [*wanted, "guaranteed"]
    # The client looks at topics once more, so see what it was sent as well.
    assert solace.direct_count == 5


def test_subscriptions_are_renewed_after_a_reconnection(
    solace: SmfBroker, connect: Connect
) -> None:
    subscriber = connect(solace, name="subscriber")
    receiver = subscriber.subscribe(f"{KIND}/>")
    solace.cut_connections()
    assert subscriber.events.wait("reconnected")
    connect(solace, name="publisher").publish(["again"], f"{KIND}/x")
    assert payloads(received(receiver, 1)) == ["again"]


def test_a_queue_keeps_what_it_attracts(solace: SmfBroker, connect: Connect) -> None:
    queue = solace.add_queue("orders", f"{KIND}/>")
    client = connect(solace)
    client.publish(range(5), f"{KIND}/a")
    client.publish(["other"], "eatool/v1/prod/server/a")
    assert client.receipts.wait(6)
    assert queue.depth == 5
    receiver = client.consume("orders")
    messages = received(receiver, 5)
    assert payloads(messages) == ["0", "1", "2", "3", "4"]
    assert not any(message.is_redelivered() for message in messages)
    for message in messages[:2]:
        receiver.ack(message)
    client.stop_consuming(receiver)
    assert solace.wait_for(lambda: queue.depth == 3)
    again = received(client.consume("orders"), 3)
    assert payloads(again) == ["2", "3", "4"]
    assert all(message.is_redelivered() for message in again)


def test_a_queue_delivers_more_than_a_window(solace: SmfBroker, connect: Connect) -> None:
    queue = solace.add_queue("orders", ">")
    client = connect(solace)
    client.publish(range(600))
    receiver = client.consume("orders")
    numbers = []
    for _ in range(600):
        message = receiver.receive_message(2000)
        numbers.append(int(bytes(message.get_payload_as_bytes())))
        receiver.ack(message)
    assert numbers == list(range(600))
    assert solace.wait_for(lambda: queue.depth == 0)


def test_a_client_makes_a_queue(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace)
    receiver = client.consume("fresh", create=True, subscriptions=["new/*"])
    assert solace.queues["fresh"].subscriptions == {"new/*"}
    client.publish(["x"], "new/a")
    assert payloads(received(receiver, 1)) == ["x"]


def test_a_second_consumer_waits_for_the_first_to_go(solace: SmfBroker, connect: Connect) -> None:
    solace.add_queue("orders", ">")
    first = connect(solace, name="first")
    second = connect(solace, name="second")
    waiting = first.consume("orders"), second.consume("orders")
    second.publish(["x"])
    assert payloads(received(waiting[0], 1)) == ["x"]
    first.close()
    (message,) = received(waiting[1], 1)
    assert payloads([message]) == ["x"]
    assert message.is_redelivered()


def test_an_unknown_queue_is_refused(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace)
    with pytest.raises(Exception, match="UNKNOWN_QUEUE_NAME"):
        client.consume("absent")
