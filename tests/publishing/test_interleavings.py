"""Parking, releasing, crashing, handing over, stopping at random: all arrives, order holds."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest
from tests.publishing.support import (
    QUICK,
    Writer,
    arrivals,
    assert_complete_and_ordered,
    crash,
    make_relay,
    stream,
    until,
)

from eatool.publishing.breaker import BreakerPolicy
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.memory import MemoryBroker
from eatool.publishing.port import (
    Message,
    PermanentPublishError,
    PublishError,
    SessionLost,
    TransientPublishError,
)
from eatool.publishing.relay import Relay
from eatool.store.memory import MemoryEventStore

STREAMS = [stream(number) for number in range(40)]
OPTIONS = replace(
    QUICK,
    lease=0.4,
    window=16,
    page=30,
    ack_timeout=0.2,
    quiet=0.05,
    breaker=BreakerPolicy(base=0.005, cap=0.02),
)


class Relays:
    """Up to three of them, started and ended at random."""

    def __init__(
        self, draw: random.Random, store: MemoryEventStore, checkpoints: MemoryCheckpoints
    ) -> None:
        self.broker = MemoryBroker()
        self._draw = draw
        self._store = store
        self._checkpoints = checkpoints
        self._running: list[tuple[Relay, asyncio.Task[None]]] = []

    def start(self) -> None:
        if len(self._running) < 3:
            relay = make_relay(
                self._store, self.broker.publisher, self._checkpoints, options=OPTIONS
            )
            self._running.append((relay, asyncio.create_task(relay.run())))

    async def end_one(self, *, orderly: bool) -> None:
        if not self._running:
            return
        relay, task = self._running.pop(self._draw.randrange(len(self._running)))
        if orderly:
            await relay.stop()
            await task
        else:
            await crash(task)

    async def end(self) -> None:
        while self._running:
            await self.end_one(orderly=True)

    def release(self, most: int) -> None:
        for row in self._checkpoints.parked("test")[:most]:
            self._checkpoints.request_resend("test", row.stream_id)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_in_whatever_order(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints, seed: int
) -> None:
    draw = random.Random(seed)
    relays = Relays(draw, store, checkpoints)
    broker = relays.broker
    moods = [PermanentPublishError("no"), TransientPublishError("busy"), SessionLost("gone")]

    def moody(_message: Message) -> PublishError | None:
        return draw.choice(moods) if draw.random() < 0.03 else None

    broker.verdict = moody
    for _ in range(150):
        writer.write(draw.sample(STREAMS, 8))
        match draw.randrange(8):
            case 0 | 1:
                relays.start()
            case 2 | 3 as how:
                await relays.end_one(orderly=how == 2)
            case 4:
                broker.drop()
            case 5 | 6:
                relays.release(3)
        await asyncio.sleep(draw.random() * 0.03)
    broker.verdict = lambda _message: None
    relays.start()

    def seen() -> int:
        relays.release(len(STREAMS))
        return len({(name, version) for name, version, _ in arrivals(broker.delivered)})

    await until(lambda: seen() == writer.total, 30)
    await until(lambda: checkpoints.parked("test") == [])
    await relays.end()
    assert_complete_and_ordered(arrivals(broker.delivered), writer.versions)
    assert {cursor.position for cursor in checkpoints.cursors("test")} == {writer.total}
