from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.publishing.support import QUICK, Writer, make_relay, running, stream, until

from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.memory import MemoryBroker
from eatool.publishing.ratelimit import RateLimit, TokenBucket
from eatool.store.memory import MemoryEventStore


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_leaves_at_once_then_one_event_for_each_token() -> None:
    clock = Clock()
    bucket = TokenBucket(RateLimit(10, burst=3), clock)
    assert bucket.available == 3
    for _ in range(3):
        bucket.take()
    assert bucket.available == 0
    assert bucket.wait == pytest.approx(0.1)
    clock.now += bucket.wait
    assert bucket.available == 1
    clock.now += 60
    assert bucket.available == 3, "a pause saves up one burst, not more"
    assert bucket.wait == 0


@given(
    rate=st.integers(1, 5000),
    burst=st.integers(1, 100),
    pauses=st.lists(st.floats(0, 5), max_size=60),
)
def test_never_more_than_rate_and_burst_allow(rate: int, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    bucket = TokenBucket(RateLimit(rate, burst), clock)
    began, sent = clock.now, 0
    for pause in pauses:
        clock.now += pause
        while bucket.available:
            bucket.take()
            sent += 1
        assert sent <= burst + rate * (clock.now - began) + 1e-6
        clock.now += bucket.wait
        assert bucket.available, "waiting as long as it says is enough"


async def test_a_relay_sends_no_faster(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    clock = Clock()
    broker = MemoryBroker()
    writer.write(map(stream, range(20)))
    options = replace(QUICK, rate=RateLimit(1000, burst=5), lease=1e9)
    relay = make_relay(store, broker.publisher, checkpoints, options=options, clock=clock)
    async with running(relay):
        await until(lambda: len(broker.delivered) == 5)
        await asyncio.sleep(0.05)  # the clock stands still
        assert len(broker.delivered) == 5
        clock.now += 0.003
        await until(lambda: len(broker.delivered) == 8)
        clock.now += 60
        await until(lambda: len(broker.delivered) == 13)
        clock.now += 60
        await until(lambda: len(broker.delivered) == 18)
        assert relay.status().lag_events == 2
