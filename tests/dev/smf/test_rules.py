"""What the stand-in does with a client that breaks the rules."""

from __future__ import annotations

import pytest
from tests.dev.smf.raw import RawClient

from eatool.dev.smf import Outcome, SmfBroker
from eatool.dev.smf.wire import Frame, Protocol


@pytest.fixture
def raw(solace: SmfBroker) -> RawClient:
    client = RawClient(solace)
    client.log_in()
    return client


def test_two_messages_under_one_number_are_told_apart(solace: SmfBroker, raw: RawClient) -> None:
    with raw:
        raw.open_flow()
        raw.send(raw.message(1, b"first"), raw.message(1, b"second"), raw.message(1, b"first"))
        assert raw.acknowledged() == 1
        assert solace.wait_for_received(3)
    assert [m.payload for m in solace.stored()] == [b"first"]
    (collision,) = solace.collisions()
    assert [m.payload for m in collision] == [b"first", b"second"]
    assert collision[1].outcome is Outcome.DUPLICATE


def test_a_number_that_is_ahead_waits_for_those_before(solace: SmfBroker, raw: RawClient) -> None:
    with raw:
        raw.open_flow()
        raw.send(raw.message(2, b"second"))
        raw.send(raw.message(1, b"first"), raw.message(2, b"second"))
        assert raw.acknowledged() == 2
    assert [m.outcome for m in solace.messages()] == [
        Outcome.OUT_OF_ORDER,
        Outcome.STORED,
        Outcome.STORED,
    ]


def test_a_flow_can_be_reopened_until_it_is_forgotten(solace: SmfBroker, raw: RawClient) -> None:
    with raw:
        assert raw.open_flow() == "200 OK"
        raw.send(raw.message(1, b"x"))
        assert raw.acknowledged() == 1
    (message,) = solace.stored()
    for number, answer in enumerate(["200 OK", "400 Unknown Flow Name"]):
        with RawClient(solace) as again:
            again.log_in(f"again-{number}")
            assert again.open_flow(message.flow) == answer
        solace.forget_flows()


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Protocol.MESSAGE, flags=0x10),  # no flow
        Frame(0x3F),
        Frame(Protocol.ASSURED_CTRL, payload=b"\x02\xf0\x01\x00"),  # no such message
        Frame(Protocol.ASSURED_CTRL, payload=b"\x02"),
        Frame(Protocol.SMP, payload=b"\x09\x00\x00\x00\x06\x00"),
    ],
)
def test_nonsense_ends_the_connection(solace: SmfBroker, raw: RawClient, frame: Frame) -> None:
    with raw:
        raw.send(frame)
        assert raw.receive() is None
    assert len(solace.protocol_errors) == 1


def test_nothing_is_taken_before_login(solace: SmfBroker) -> None:
    with RawClient(solace) as client:
        client.send(Frame(Protocol.KEEP_ALIVE_V2))
        assert client.receive() is None
    assert solace.protocol_errors == ["SmfError: protocol 0x0b before login"]
