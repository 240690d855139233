"""What a relay says of itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.publishing.support import QUICK, Writer, make_relay, running, stream, until

from eatool.publishing.breaker import BreakerPolicy, CircuitState
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.memory import MemoryBroker
from eatool.publishing.observer import NullObserver
from eatool.store.memory import MemoryEventStore


class Seen(NullObserver):
    states: list[CircuitState]

    def __init__(self) -> None:
        self.states = []

    def circuit(self, state: CircuitState) -> None:
        self.states.append(state)


async def test_who_holds_nothing_is_not_behind() -> None:
    time = 0.0
    store, checkpoints, broker = MemoryEventStore(), MemoryCheckpoints(), MemoryBroker()
    writer = Writer(store)
    writer.write(map(stream, range(20)))
    options = replace(QUICK, lease=30)  # looked after every 10 s: not in the middle of this
    relay = make_relay(store, broker.publisher, checkpoints, clock=lambda: time, options=options)
    async with running(relay):
        await until(lambda: len(broker.delivered) == 20 and relay.status().waiting == 0)
        time += 100.0  # the leases have run out; noticed with the next event
        writer.write([stream(1)])
        await until(lambda: relay.status().partitions == 0)
        assert relay.status().lag_events == 0


async def test_the_circuit_of_a_quiet_log_closes_after_a_reconnect() -> None:
    store, broker, seen = MemoryEventStore(), MemoryBroker(), Seen()
    writer = Writer(store)
    options = replace(QUICK, ack_timeout=0.2, breaker=BreakerPolicy(base=0.02, rest=0.1))
    relay = make_relay(store, broker.publisher, MemoryCheckpoints(), options=options, observer=seen)
    async with running(relay):
        writer.write([stream(1)])
        await until(lambda: len(broker.delivered) == 1 and relay.status().waiting == 0)
        broker.drop()
        await until(lambda: CircuitState.CLOSED in seen.states)
        assert seen.states == [CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED]
        assert relay.status().connected
        assert len(broker.delivered) == 1, "nothing was sent for it"


async def test_the_circuit_stays_half_open_while_its_one_event_is_not_answered() -> None:
    store, broker, seen = MemoryEventStore(), MemoryBroker(), Seen()
    options = replace(QUICK, ack_timeout=0.4, breaker=BreakerPolicy(base=0.02, rest=0.0))
    relay = make_relay(store, broker.publisher, MemoryCheckpoints(), options=options, observer=seen)
    async with running(relay):
        await until(lambda: relay.status().connected)
        broker.hold()
        Writer(store).write([stream(1)])
        await until(lambda: relay.status().in_flight == 1)
        broker.drop()
        await until(lambda: relay.status().circuit is CircuitState.HALF_OPEN)
        await asyncio.sleep(0.3)  # three looks at the session
        assert CircuitState.CLOSED not in seen.states
        broker.release()
        await until(lambda: CircuitState.CLOSED in seen.states)
