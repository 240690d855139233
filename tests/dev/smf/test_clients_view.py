"""What every broker has to do, seen only through a client: also against a real one.

``EATOOL_TEST_SOLACE_URL`` and its companions name it, see docs/solace-stand-in.md.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from tests.dev.smf.conftest import Connect
from tests.plugins.solace import SolaceAddress

PASSWORD = "solace.messaging.authentication.basic.password"
VPN = "solace.messaging.service.vpn-name"


@pytest.fixture
def level() -> str:
    """A level of topics that nobody else uses."""
    return f"eatool-test-{uuid4().hex[:12]}"


def test_persistent_messages_are_confirmed_in_order(
    solace_address: SolaceAddress, connect: Connect, level: str
) -> None:
    client = connect(solace_address, name=level)
    client.publish(range(1000), f"{level}/a")
    assert client.receipts.wait(1000)
    assert client.receipts.confirmed == list(range(1000))


def test_a_subscriber_sees_messages_as_they_were_sent(
    solace_address: SolaceAddress, connect: Connect, level: str
) -> None:
    receiver = connect(solace_address, name=f"{level}-in").subscribe(f"{level}/*/application/>")
    client = connect(solace_address, name=f"{level}-out")
    builder = client.service.message_builder().with_application_message_id("evt-1")
    message = builder.with_correlation_id("corr-1").with_property("JMSXGroupID", "order-1")
    topic = f"{level}/prod/application/ApplicationCreated/webshop"
    client.publish(["no"], f"{level}/prod/server/ServerCreated/a")
    client.publish_built(message.build(bytearray(b'{"a": 1}')), topic)
    got = receiver.receive_message(5000)
    assert got.get_destination_name() == topic
    assert got.get_payload_as_bytes() == b'{"a": 1}'
    assert got.get_application_message_id() == "evt-1"
    assert got.get_correlation_id() == "corr-1"
    assert got.get_properties()["JMSXGroupID"] == "order-1"


def test_a_queue_redelivers_what_was_not_acknowledged(
    solace_address: SolaceAddress, connect: Connect, level: str
) -> None:
    client = connect(solace_address, name=level)
    receiver = client.consume(level, create=True, subscriptions=[f"{level}/>"])
    client.publish(range(4), f"{level}/a")
    messages = [receiver.receive_message(5000) for _ in range(4)]
    assert [bytes(m.get_payload_as_bytes()) for m in messages] == [b"0", b"1", b"2", b"3"]
    for message in messages[:2]:
        receiver.ack(message)
    client.stop_consuming(receiver)
    receiver = client.consume(level)
    again = [receiver.receive_message(5000) for _ in range(2)]
    assert [bytes(m.get_payload_as_bytes()) for m in again] == [b"2", b"3"]
    assert all(m.is_redelivered() for m in again)
    for message in again:
        receiver.ack(message)


def test_logins_are_checked(
    solace_address: SolaceAddress, connect: Connect, refuse: Callable[..., str], level: str
) -> None:
    wrong = {PASSWORD: "wrong"}
    assert refuse(solace_address, name=f"{level}-1", properties=wrong).endswith("LOGIN_FAILURE")
    other = {VPN: level}
    assert refuse(solace_address, name=f"{level}-2", properties=other).endswith(
        "MSG_VPN_NOT_ALLOWED"
    )
    connect(solace_address, name=level)
    assert refuse(solace_address, name=level).endswith("CLIENT_NAME_ALREADY_IN_USE")
