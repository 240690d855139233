"""20,000 events over 500 entities to two brokers, one of which is made to suffer everything.

The relays of one log run in a process of their own, which is killed as well. What is proved of the
suffering broker: every event arrives, each entity's in order, and what is sent again carries the
same id. Of the other one: it never waits.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import pytest
from tests.proofs.brokers import Tormented, await_true
from tests.proofs.relays import RelayProcess, relaying
from tests.publishing.support import Writer, assert_complete_and_ordered, event, stream
from tests.store.stores import database_url

from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.lag import LagReader
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

EVENTS = 20_000
STREAMS = [stream(number) for number in range(500)]
ROUNDS = EVENTS // len(STREAMS)
#: How often each fault comes in the 40 rounds; the rest of them is calm.
FAULTS = Counter(killed=5, restarted=2, blackholed=5, slowed=4, refusing=4)
RELAY_KILLS = 6
#: Seconds in which the healthy broker must have what is written while the other one is ill, the
#: lease of a killed relay included.
AT_ONCE = 20.0
RECOVERY = 90.0
DELIVERY = 20.0


class Proof:
    """One log, the relays of it, and how far both brokers are."""

    def __init__(self, url: str, relays: RelayProcess, chance: random.Random) -> None:
        self.chance = chance
        self.relays = relays
        self.store = SqlEventStore(open_engine(url))
        self.writer = Writer(self.store)
        self.checkpoints = SqlCheckpoints(self.store.engine)
        self._reader = LagReader(self.store, self.checkpoints)

    def acknowledged(self, broker: str) -> bool:
        """It has the whole log, as far as it was not refused."""
        lag = self._reader.lag(broker)
        return lag.known and lag.events == 0

    def taken(self, broker: str) -> int:
        """Events that it has acknowledged, once it has all that is not held back."""
        await_true(lambda: self.acknowledged(broker), f"{broker} has what flows", RECOVERY)
        held = (
            self.writer.versions[each.stream_id] - each.first_version + 1
            for each in self.checkpoints.parked(broker)
        )
        return self.writer.total - sum(held)

    def parked(self, broker: str) -> set[str]:
        return {each.stream_id for each in self.checkpoints.parked(broker)}

    def round(
        self,
        ill: Tormented,
        healthy: Tormented,
        fault: Callable[[], AbstractContextManager[None]],
        *,
        kill_relays: bool,
    ) -> float:
        """One event for each entity, half of them before the fault; the healthy broker's seconds.

        They count from the last write to its acknowledgement, while the other one is still ill.
        """
        streams = self.chance.sample(STREAMS, len(STREAMS))
        half = len(streams) // 2
        self.writer.write(streams[:half])
        time.sleep(self.chance.uniform(0.0, 0.1))  # some of them are in flight
        with fault():
            self.writer.write(streams[half:])
            if kill_relays:
                time.sleep(self.chance.uniform(0.0, 0.1))
                self.relays.kill()
                self.relays.start()
            began = time.monotonic()
            await_true(
                lambda: self.acknowledged(healthy.name),
                f"{healthy.name} has everything while {ill.name} is ill",
                AT_ONCE,
            )
            waited = time.monotonic() - began
            if fault in ill.interruptions:
                assert not self.acknowledged(ill.name), "it was not as ill as it should be"
            return waited

    def recover(self, broker: Tormented) -> None:
        """Once nothing is wrong any more it has everything, what it refused included."""

        def whole() -> bool:
            for stream_id in self.parked(broker.name):
                self.checkpoints.request_resend(broker.name, stream_id)
            return self.acknowledged(broker.name) and not self.parked(broker.name)

        await_true(whole, f"{broker.name} has everything", RECOVERY)
        deadline = time.monotonic() + DELIVERY  # what is missing then, the last assertion tells
        while not broker.has(EVENTS) and time.monotonic() < deadline:
            time.sleep(0.2)


@pytest.mark.parametrize("case", [("mqtt", "sqlite"), ("solace", "postgresql")], ids=" on ".join)
def test_nothing_is_lost_whatever_happens_to_one_broker(
    case: tuple[str, str],
    brokers: dict[str, Tormented],
    chance: random.Random,
    folder: Path,
    request: pytest.FixtureRequest,
) -> None:
    suffering, database = case
    ill = brokers[suffering]
    (healthy,) = (broker for name, broker in brokers.items() if name != suffering)
    url = database_url(database, folder, request)
    ports = [brokers[name].broker.port for name in ("mqtt", "solace")]
    began = time.monotonic()
    with relaying(RelayProcess(url, *ports, folder=folder)) as relays:
        proof = Proof(url, relays, chance)
        plan = [*FAULTS.elements(), *["none"] * (ROUNDS - FAULTS.total())]
        chance.shuffle(plan)
        deaths = set(chance.sample(range(ROUNDS), RELAY_KILLS))
        waits = [
            proof.round(ill, healthy, fault, kill_relays=number in deaths)
            for number, fault in enumerate(faults_of(proof, ill, plan))
        ]
        suffered = time.monotonic() - began
        assert proof.writer.total == EVENTS
        assert proof.parked(ill.name) <= ill.refused, "an entity was blamed for the broker's fault"
        assert not proof.parked(healthy.name)
        for broker in (ill, healthy):
            proof.recover(broker)
        took = time.monotonic() - began
        proof.store.close()

    for broker in (ill, healthy):
        arrived = broker.arrivals()
        again = assert_complete_and_ordered(arrived, proof.writer.versions)
        assert all(sent == str(event(name, version).event_id) for name, version, sent in arrived)
        print(f"{broker.name}: {EVENTS} events, {again} sent again, refused: {broker.refused}")
    print(
        f"{took:.0f} s, {suffered:.0f} s of them with faults; {relays.kills - 1} relays killed; "
        f"the healthy broker had every round after {max(waits):.1f} s at most, "
        f"{sorted(waits)[len(waits) // 2]:.2f} s in the median"
    )


def faults_of(
    proof: Proof, ill: Tormented, plan: list[str]
) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """The faults of a plan, each when it may begin."""
    for name in plan:
        if name in {"killed", "restarted"}:
            ill.settle(partial(proof.taken, ill.name))
        if name == "killed":
            ill.brace()
        if name == "refusing":
            yield partial(ill.refusing, proof.chance.choice(STREAMS))
        elif name == "none":
            yield nullcontext
        else:
            yield getattr(ill, name)
