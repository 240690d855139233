from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.publishing.support import QUICK, Writer, make_relay, running, stream, until

from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.failover import Endpoint, FailoverPublisher
from eatool.publishing.memory import MemoryBroker, MemoryPublisher
from eatool.publishing.port import Fault, SessionLost
from eatool.store.memory import MemoryEventStore


class Site:
    """A broker under an address that notes who knocks."""

    def __init__(self, address: str, knocks: list[str]) -> None:
        self.broker = MemoryBroker()
        self._knocks = knocks
        self.endpoint = Endpoint(address, self._publisher)

    def _publisher(self) -> MemoryPublisher:
        self._knocks.append(self.endpoint.address)
        return self.broker.publisher()


async def test_addresses_are_tried_in_order_until_one_answers() -> None:
    knocks: list[str] = []
    sites = [Site(name, knocks) for name in ("a", "b", "c")]
    sites[0].broker.stop("a is down")
    publisher = FailoverPublisher([site.endpoint for site in sites])
    await publisher.connect()
    assert (knocks, publisher.address) == (["a", "b"], "b")
    await publisher.close()


async def test_when_none_answers_every_reason_is_told() -> None:
    sites = [Site(name, []) for name in ("a", "b")]
    for site in sites:
        site.broker.stop(f"{site.endpoint.address} is down")
    publisher = FailoverPublisher([site.endpoint for site in sites])
    with pytest.raises(SessionLost, match="a is down; b is down"):
        await publisher.connect()
    await publisher.close()


async def test_the_most_telling_fault_is_that_of_all() -> None:
    def refusing(fault: Fault) -> Endpoint:
        class Refusing(MemoryPublisher):
            async def connect(self) -> None:
                raise SessionLost(fault, fault)

        return Endpoint(fault, lambda: Refusing(MemoryBroker()))

    faults = (Fault.CONNECTION, Fault.LOGIN, Fault.HOST)
    publisher = FailoverPublisher([refusing(fault) for fault in faults])
    with pytest.raises(SessionLost, match="connection; login; host") as caught:
        await publisher.connect()
    assert caught.value.fault is Fault.LOGIN


async def test_giving_up_while_connecting_closes_what_was_begun() -> None:
    closed = asyncio.Event()

    class Silent(MemoryPublisher):
        async def connect(self) -> None:
            await asyncio.Event().wait()

        async def close(self) -> None:
            closed.set()

    publisher = FailoverPublisher([Endpoint("silent", lambda: Silent(MemoryBroker()))])
    connecting = asyncio.create_task(publisher.connect())
    await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert closed.is_set()


async def test_a_relay_moves_to_the_next_address_and_back(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    knocks: list[str] = []
    first, second = sites = [Site(name, knocks) for name in ("first", "second")]
    endpoints = [site.endpoint for site in sites]
    relay = make_relay(store, lambda: FailoverPublisher(endpoints), checkpoints)
    async with running(relay):
        writer.write([stream(1)])
        await until(lambda: len(first.broker.delivered) == 1)
        assert relay.status().address == "first"
        first.broker.stop()
        writer.write([stream(1)])
        await until(lambda: len(second.broker.delivered) == 1)
        assert relay.status().address == "second"
        first.broker.start()
        second.broker.drop()
        writer.write([stream(1)])
        await until(lambda: len(first.broker.delivered) == 2)
    assert relay.status().address is None


async def test_an_address_that_connects_but_acknowledges_nothing_gives_way(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    knocks: list[str] = []
    first, second = sites = [Site(name, knocks) for name in ("first", "second")]
    endpoints, useless = [site.endpoint for site in sites], list[str]()
    first.broker.hold()
    relay = make_relay(
        store,
        lambda: FailoverPublisher(endpoints, useless),
        checkpoints,
        options=replace(QUICK, ack_timeout=0.1),
    )
    async with running(relay):
        writer.write(map(stream, range(5)))
        await until(lambda: len(second.broker.delivered) == 5)
        assert relay.status().address == "second"
        first.broker.release()
        second.broker.drop()
        writer.write([stream(1)])
        await until(lambda: len(first.broker.delivered) == 1)
    assert knocks == ["first", "second", "first"]


async def test_addresses_that_all_acknowledge_nothing_take_turns(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    knocks: list[str] = []
    sites = [Site(name, knocks) for name in ("a", "b", "c")]
    endpoints, useless = [site.endpoint for site in sites], list[str]()
    for site in sites:
        site.broker.hold()
    writer.write(map(stream, range(3)))
    relay = make_relay(
        store,
        lambda: FailoverPublisher(endpoints, useless),
        checkpoints,
        options=replace(QUICK, ack_timeout=0.02),
    )
    async with running(relay):
        await until(lambda: len(knocks) >= 9)
    assert knocks[:9] == ["a", "b", "c"] * 3
