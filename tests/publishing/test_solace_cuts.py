"""The relay in the moment in which Solace's client library loses messages by itself.

The connection is cut with messages under way, and the broker has forgotten the publisher flow when
the client is back: see ``tests/dev/smf/test_defect.py``.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import count, product

import pytest
from tests.plugins.solace import MakeSolace
from tests.plugins.stress import SECONDS, contention, stress
from tests.publishing.solace_support import arrivals, options_of
from tests.publishing.support import (
    QUICK,
    Writer,
    assert_complete_and_ordered,
    make_relay,
    running,
    stream,
    until,
)

from eatool.dev.smf import Faults
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.solace import SolacePublisher
from eatool.store.memory import MemoryEventStore

__all__ = ["contention"]

#: Messages stored before the cut, and seconds by which acknowledgements are late.
MOMENTS = list(product((1, 3, 5, 10, 20, 30, 60), (0.0, 0.002, 0.01, 0.03)))


async def one_run(make_solace: MakeSolace, moment: tuple[int, float]) -> None:
    """240 events of 60 streams over a cut: all stored, in order, by sessions that are all new."""
    cut_after, ack_delay = moment
    broker = make_solace(faults=Faults(forget_flows=True, cut_after=cut_after, ack_delay=ack_delay))
    store = MemoryEventStore()
    writer = Writer(store)
    writer.write(map(stream, range(60)), rounds=4)
    options = options_of(broker)
    relay = make_relay(
        store,
        lambda: SolacePublisher(options),
        MemoryCheckpoints(),
        # One message at a time in a half-open circuit: no stream is to blame for the cut.
        options=replace(QUICK, max_disconnects=1000),
    )
    async with running(relay):
        await until(lambda: relay.status().position == writer.total, 30)
    assert broker.faults.cut_after is None
    assert_complete_and_ordered(arrivals(broker.stored()), writer.versions)
    assert broker.collisions() == []
    names = [login.client_name for login in broker.logins]
    assert len(names) == len(set(names)) > 1, "the library has reconnected by itself"
    broker.stop()


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda m: f"after {m[0]}, {m[1] * 1000:.0f} ms")
async def test_no_event_is_lost_over_a_cut(
    make_solace: MakeSolace, moment: tuple[int, float]
) -> None:
    await one_run(make_solace, moment)


@stress
@pytest.mark.timeout(2 * SECONDS + 60)
@pytest.mark.usefixtures("contention")
async def test_no_event_is_lost_over_hundreds_of_cuts(make_solace: MakeSolace) -> None:
    started = time.monotonic()
    for run in count():
        if time.monotonic() > started + SECONDS:
            break
        await one_run(make_solace, MOMENTS[run % len(MOMENTS)])
    print(f"{run} runs, nothing lost")
