"""What goes wrong on purpose, and what the real client makes of it."""

from __future__ import annotations

import itertools
import time

import pytest
from tests.dev.smf.conftest import Connect

from eatool.dev.smf import Faults, Outcome, SmfBroker

COUNT = 400
FAST_KEEP_ALIVE = {"solace.messaging.transport.keep-alive-interval": 100}


def numbers(broker: SmfBroker) -> list[int]:
    return [int(message.payload) for message in broker.stored()]


def test_a_cut_loses_and_doubles_nothing(solace: SmfBroker, connect: Connect) -> None:
    solace.faults = Faults(cut_after=100)
    client = connect(solace)
    client.publish(range(COUNT))
    assert client.receipts.wait(COUNT)
    assert client.events.wait("reconnected")
    assert client.receipts.confirmed == numbers(solace) == list(range(COUNT))
    assert solace.faults.cut_after is None
    assert len(solace.logins) == 2
    # The reopened flow acknowledged what had been stored: no need to send it again.
    assert not [m for m in solace.messages() if m.outcome is Outcome.DUPLICATE]


def test_what_a_broker_lost_is_sent_again(solace: SmfBroker, connect: Connect) -> None:
    solace.faults.cut_after = 100
    solace.faults.cut_loses_unacked = True
    solace.faults.ack_delay = 0.2
    client = connect(solace)
    client.publish(range(COUNT))
    assert client.receipts.wait(COUNT)
    assert client.receipts.confirmed == numbers(solace) == list(range(COUNT))
    lost = [m for m in solace.messages() if m.outcome is Outcome.LOST]
    again = [m for m in solace.messages() if m.redelivered]
    assert 0 < len(lost) <= len(again)


def test_a_forgotten_flow_doubles_messages(solace: SmfBroker, connect: Connect) -> None:
    solace.faults.cut_after = 100
    solace.faults.forget_flows = True
    solace.faults.ack_delay = 0.2
    client = connect(solace)
    client.publish(range(COUNT))
    assert client.receipts.wait(COUNT)
    assert client.receipts.confirmed == list(range(COUNT))
    first = [int(m.payload) for m in solace.stored() if m.connection == 1]
    second = [int(m.payload) for m in solace.stored() if m.connection == 2]
    assert first == list(range(100))
    assert 0 <= second[0] < 100  # sent again under new numbers: nothing tells that they are known
    assert second == list(range(second[0], COUNT))


def test_a_closed_flow_is_over_for_the_client(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace, retries=0, reject_when_full=True)
    client.publish([1])
    assert client.receipts.wait(1)
    solace.faults.withhold_acks = True
    client.publish([2])
    assert solace.wait_for_stored(2)
    solace.close_publisher_flows()
    with pytest.raises(Exception, match="Unable to Publish"):
        client.publish(itertools.repeat(3, 1000))  # it hears of it after a moment
    # Nothing else tells: it is connected and ready, and the second receipt never comes.
    assert client.service.is_connected
    assert client.publisher.is_ready()
    assert client.events.log == []
    assert client.receipts.confirmed == [1]


def test_a_vpn_that_is_shut_down_and_opened(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace)
    client.publish([1])
    assert client.receipts.wait(1)
    solace.shut_down_vpn()
    assert solace.wait_for(lambda: len(solace.logins) >= 2)
    client.publish([2])
    solace.open_vpn()
    assert client.events.wait("reconnected")
    assert client.receipts.wait(2)
    assert numbers(solace) == [1, 2]


def test_a_client_gives_up(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace, retries=2)
    solace.faults.refuse_connections = True
    solace.cut_connections()
    client.publish(range(20))
    assert client.events.wait("interrupted")
    assert client.receipts.wait(20)
    assert client.receipts.confirmed == []
    assert client.publisher.is_terminated()
    assert not client.service.is_connected


def test_withheld_acknowledgements_are_asked_for_again(solace: SmfBroker, connect: Connect) -> None:
    solace.faults.withhold_acks = True
    client = connect(solace)
    client.publish(range(5))
    assert solace.wait_for_received(10, timeout=5)  # it repeats them every 2 s
    assert client.receipts.all == []
    repeated = [m for m in solace.messages() if m.outcome is Outcome.DUPLICATE]
    assert [int(m.payload) for m in repeated] == list(range(5))
    assert all(m.redelivered for m in repeated)
    assert [m.message_id for m in repeated] == [m.message_id for m in solace.stored()]
    solace.faults.withhold_acks = False
    assert client.receipts.wait(5)
    assert client.receipts.confirmed == numbers(solace) == list(range(5))


def test_acknowledgements_can_be_late(solace: SmfBroker, connect: Connect) -> None:
    solace.faults.ack_delay = 0.3
    client = connect(solace)
    started = time.monotonic()
    client.publish(range(50))
    assert client.receipts.wait(50)
    assert time.monotonic() - started >= 0.3
    assert solace.received_count == 50
    assert client.receipts.confirmed == list(range(50))


def test_keep_alives_are_answered(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace, properties=FAST_KEEP_ALIVE)
    assert solace.wait_for(lambda: solace.keep_alive_count >= 5)
    assert client.events.log == []


def test_unanswered_keep_alives_are_noticed(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace, properties=FAST_KEEP_ALIVE)
    solace.faults.ignore_keep_alives = True
    assert client.events.wait("reconnecting")


def test_a_hanging_broker_is_noticed(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace, properties=FAST_KEEP_ALIVE)
    solace.silence()
    assert client.events.wait("reconnecting")
    solace.resume()
    assert client.events.wait("reconnected")
    client.publish([1])
    assert client.receipts.wait(1)


def test_a_silence_ends_where_it_began(solace: SmfBroker, connect: Connect) -> None:
    client = connect(solace)
    client.publish([1])
    assert client.receipts.wait(1)
    solace.silence()
    client.publish([2, 3])
    assert not solace.wait_for_stored(2, timeout=0.3)
    solace.resume()
    assert client.receipts.wait(3)
    assert client.receipts.confirmed == numbers(solace) == [1, 2, 3]
    assert client.events.log == []
