"""What a relay says of itself."""

from __future__ import annotations

from dataclasses import replace

from tests.publishing.support import QUICK, Writer, make_relay, running, stream, until

from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.memory import MemoryBroker
from eatool.store.memory import MemoryEventStore


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
