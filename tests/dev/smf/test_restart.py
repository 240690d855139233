"""What survives: a restart in the process, and a ``kill -9`` of the process."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.dev.smf.conftest import Connect
from tests.plugins.solace import MakeSolace, MakeSolaceProcess

from eatool.dev.smf import Faults, Nack, SmfBroker, replies
from eatool.dev.smf.process import BrokerProcess, BrokerProcessError


def test_a_restart_keeps_the_port_and_everything(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace)
    client.publish(range(10))
    assert client.receipts.wait(10)
    port = solace.port
    solace.stop()
    client.publish(range(10, 300))  # 255 wait in the library, the rest in its buffer
    assert client.events.wait("reconnecting")
    assert len(client.receipts.all) == 10
    solace.start()
    assert solace.port == port
    assert client.receipts.wait(300)
    assert client.receipts.confirmed == list(range(300))
    assert [int(m.payload) for m in solace.stored()] == list(range(300))


def test_what_was_acknowledged_survives_a_kill(
    solace_process: BrokerProcess, connect: Connect
) -> None:
    client = connect(solace_process)
    client.publish(range(500))
    assert client.receipts.wait(100)
    solace_process.kill()
    confirmed = list(client.receipts.confirmed)
    solace_process.start()
    stored = [int(m.payload) for m in solace_process.stored()]
    assert stored[: len(confirmed)] == confirmed
    assert client.receipts.wait(500)
    assert client.receipts.confirmed == list(range(500))
    assert [int(m.payload) for m in solace_process.stored()] == list(range(500))


def test_rejections_survive_a_kill(solace_process: BrokerProcess, connect: Connect) -> None:
    nack = Nack(replies.PUBLISH_ACL_DENIED, "acl")
    solace_process.set_faults(Faults(nacks=[nack], ack_delay=60))
    client = connect(solace_process)
    client.publish([1])
    client.publish(["acl"], "acl")
    client.publish([2])
    assert solace_process.wait_for_stored(2)
    solace_process.kill()
    assert client.receipts.all == []
    solace_process.start()  # without faults: only what it wrote tells that one was rejected
    assert client.receipts.wait(3)
    assert client.receipts.confirmed == [1, 2]
    assert [m.payload for m in solace_process.stored()] == [b"1", b"2"]


def test_a_flow_forgotten_in_use_is_no_trouble_later(
    solace_process: BrokerProcess, connect: Connect
) -> None:
    client = connect(solace_process)
    client.publish([1])
    assert client.receipts.wait(1)
    solace_process.forget_flows()
    client.publish([2])
    assert client.receipts.wait(2)
    solace_process.kill()
    solace_process.start()
    client.publish([3])
    assert client.receipts.wait(3)
    assert [int(m.payload) for m in solace_process.stored()] == [1, 2, 3]


def test_a_queue_survives_a_kill(solace_process: BrokerProcess, connect: Connect) -> None:
    solace_process.add_queue("orders", "acme/>")
    client = connect(solace_process, name="publisher")
    client.publish(range(5))
    assert client.receipts.wait(5)
    consumer = connect(solace_process, name="consumer")
    receiver = consumer.consume("orders")
    for _ in range(2):
        receiver.ack(receiver.receive_message(2000))
    consumer.stop_consuming(receiver)
    deadline = time.monotonic() + 10
    while solace_process.status().queues != {"orders": 3} and time.monotonic() < deadline:
        time.sleep(0.02)
    solace_process.kill()
    solace_process.start()
    assert solace_process.status().queues == {"orders": 3}
    receiver = connect(solace_process, name="another").consume("orders")
    left = [bytes(receiver.receive_message(2000).get_payload_as_bytes()) for _ in range(3)]
    assert left == [b"2", b"3", b"4"]


def test_a_torn_last_line_is_no_message(
    tmp_path: Path, make_solace: MakeSolace, connect: Connect
) -> None:
    broker = make_solace(spool=tmp_path)
    client = connect(broker, retries=0)
    client.publish(range(3))
    assert client.receipts.wait(3)
    broker.stop()
    (journal,) = tmp_path.iterdir()
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"kind": "mess')
    again = make_solace(spool=tmp_path)
    assert [int(m.payload) for m in again.stored()] == [0, 1, 2]
    assert journal.read_bytes() == whole


def test_a_stopped_process_hangs(solace_process: BrokerProcess, connect: Connect) -> None:
    client = connect(
        solace_process, properties={"solace.messaging.transport.keep-alive-interval": 100}
    )
    client.publish([1])
    assert client.receipts.wait(1)
    solace_process.silence()
    client.publish([2])
    assert client.events.wait("reconnecting")
    assert len(client.receipts.all) == 1
    solace_process.resume()
    assert client.receipts.wait(2)
    assert [int(m.payload) for m in solace_process.stored()] == [1, 2]


def test_a_process_can_be_told_what_goes_wrong(
    make_solace_process: MakeSolaceProcess, connect: Connect
) -> None:
    broker = make_solace_process(reject_unmatched=True)
    broker.add_queue("two/parts", "acme/>", max_messages=1)
    client = connect(broker)
    client.publish([1, 2])
    client.publish(["lost"], "elsewhere")
    assert client.receipts.wait(3)
    assert client.receipts.confirmed == [1]
    assert client.receipts.rejected == {
        2: "PubSubPlusClientError SPOOL_OVER_QUOTA",
        "lost": "MessageDestinationDoesNotExistError NO_SUBSCRIPTION_MATCH",
    }
    broker.shut_down_vpn()
    assert client.events.wait("reconnecting")
    broker.open_vpn()
    assert client.events.wait("reconnected")
    status = broker.status()
    assert status.clients == ["test"]
    assert status.logins[0] == ("test", replies.OK)
    assert status.queues == {"two/parts": 1}
    assert status.stored == 1
    assert status.protocol_errors == []


def test_a_port_in_use_is_told(solace: SmfBroker, tmp_path: Path) -> None:
    process = BrokerProcess(tmp_path)
    process.port = solace.port
    with pytest.raises(BrokerProcessError, match="in use"):
        process.start()
