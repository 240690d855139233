from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text
from tests.rollout.conftest import Open, Time

from eatool.domain.kinds import KINDS
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.required import no_brokers
from eatool.publishing.selection import EVERYTHING
from eatool.registry.opening import open_registry
from eatool.rollout.ledger import Cause, Trigger
from eatool.rollout.process import Outset, RolloutProcess
from eatool.rollout.samples import PRECISION, Observed, Place, Reading, Samples
from eatool.rollout.shared_samples import SharedSamples
from eatool.rollout.tables import rollout_sample
from eatool.store.port import StoreError
from eatool.store.sql.log import SqlEventStore
from eatool.telemetry.labels import Labels
from eatool.telemetry.prometheus import PrometheusMetrics

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)


class Process:
    """What observes, and decides by what all have observed."""

    def __init__(self, store: SqlEventStore, time: Time) -> None:
        self.samples = Samples(clock=time)
        self.shared = SharedSamples(store, self.samples, clock=time)
        self.shared.supply()

    def observe(self, metric: Observed, value: float, count: int = 1) -> None:
        self.samples.observe(metric, "application", value, count)

    def read(self, metric: Observed, window: timedelta = HOUR) -> Reading | None:
        return self.samples.read(metric, "application", window)


@pytest.fixture
def one(store: SqlEventStore, time: Time) -> Process:
    return Process(store, time)


@pytest.fixture
def other(open_store: Open, time: Time) -> Process:
    return Process(open_store(), time)


def test_nothing_observed_is_no_figure(one: Process) -> None:
    one.samples.observe("ErrorRatio", "server", 1)
    one.observe("AppendConflictRatio", 1)
    one.shared.keep()
    assert one.read("ErrorRatio") is None
    assert one.samples.read("ParkedStreams", "application", HOUR) is None


def test_whoever_decides_judges_by_what_all_have_seen(one: Process, other: Process) -> None:
    for _ in range(2):  # writing twice counts once
        other.shared.keep()
    other.observe("ErrorRatio", 1, count=3)
    other.shared.keep()
    assert one.read("ErrorRatio") == Reading(1.0, 3)
    one.observe("ErrorRatio", 0, count=997)
    for process in (one, other, one):
        process.shared.keep()
    assert one.read("ErrorRatio") == other.read("ErrorRatio") == Reading(0.003, 1000)


def test_a_restart_loses_nothing(one: Process, open_store: Open, time: Time) -> None:
    one.observe("PublishLagSecondsP99", 2.0)
    one.shared.keep()
    restarted = Process(open_store(), time)
    assert restarted.read("PublishLagSecondsP99") == Reading(2.0, 1)
    restarted.observe("PublishLagSecondsP99", 1.0)  # in the same minute
    restarted.shared.keep()
    assert restarted.read("PublishLagSecondsP99") == Reading(2.0, 2)


async def test_operators_share_what_they_see(url: str) -> None:
    async with operator(url, "leader") as leader:
        leader.ledger.enroll("application", Cause(Trigger.COMMAND, "a test"))
        async with operator(url, "publisher") as publisher:
            publisher.published("required", "application", 3.0)
            publisher.published("other", "application", 90.0)
        reading = leader.samples.read("PublishLagSecondsP99", "application", HOUR)
    assert reading == Reading(3.0, 1)


@asynccontextmanager
async def operator(url: str, replica: str) -> AsyncIterator[RolloutProcess]:
    metrics = PrometheusMetrics(Labels.of(KINDS.values())).rollout
    required = no_brokers()
    required.replace({"required": EVERYTHING})
    async with open_registry(url) as opened:
        SqlCheckpoints(opened.store.engine).begin("required", 0)
        process = RolloutProcess(
            opened, Outset(), metrics, replica=replica, namespace="default", required=required
        )
        process.start()
        try:
            yield process
        finally:
            process.close()


def test_the_99th_percentile_is_never_too_small_nor_much_too_large(
    one: Process, other: Process, time: Time
) -> None:
    rng = random.Random(7)
    values = [rng.expovariate(2) for _ in range(5000)]
    for number, value in enumerate(values):
        (one, other)[number % 2].observe("PublishLagSecondsP99", value)
        time.advance(milliseconds=100)
    for process in (one, other):
        process.shared.keep()
    exact = sorted(values)[4950 - 1]
    reading = one.read("PublishLagSecondsP99")
    assert reading is not None
    assert reading.samples == 5000
    assert exact <= reading.value <= exact * PRECISION


def test_only_the_window_counts(one: Process, time: Time) -> None:
    for value in (1, 1, 0):
        one.observe("ErrorRatio", value)
        one.shared.keep()
        time.advance(minutes=20)
    assert one.read("ErrorRatio") == Reading(2 / 3, 3)
    assert one.read("ErrorRatio", timedelta(minutes=25)) == Reading(0, 1)


def test_a_day_is_kept_and_no_more(one: Process, store: SqlEventStore, time: Time) -> None:
    for _ in range(26 * 6):
        one.observe("ErrorRatio", 0)
        one.shared.keep()
        time.advance(minutes=10)
    with store.connect() as connection:
        rows = connection.scalar(select(func.count()).select_from(rollout_sample)) or 0
    assert 24 * 6 <= rows <= 25 * 6 + 1
    assert one.samples.changed() == {}
    assert len(one.samples._slots) == 1  # of the minute that is not over


def test_what_cannot_be_written_waits_for_a_day_at_most(
    one: Process, store: SqlEventStore, time: Time
) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE rollout_sample RENAME TO elsewhere"))
    for _ in range(30):
        one.observe("ErrorRatio", 1)
        with pytest.raises(StoreError):
            one.shared.keep()
        time.advance(hours=1)
    assert len(one.samples.changed()) <= 25
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO rollout_sample"))
    one.shared.keep()
    reading = one.read("ErrorRatio", DAY)
    assert reading is not None
    assert 23 <= reading.samples <= 25


def test_what_is_observed_while_it_is_written_is_written_next_time(time: Time) -> None:
    samples = Samples(clock=time)
    samples.observe("ErrorRatio", "application", 1)
    taken = samples.changed()
    samples.observe("ErrorRatio", "application", 0)
    samples.kept(taken)
    (slot,) = samples.changed().values()
    assert (slot.count, slot.total) == (2, 1)
    samples.kept(samples.changed())
    assert samples.changed() == {}
    samples.observe("ErrorRatio", "application", 0)
    assert samples.changed()[Place("ErrorRatio", "application", time.now)].count == 3


def test_another_room_may_answer_itself(time: Time) -> None:
    asked: list[tuple[str, timedelta]] = []

    def source(kind: str, window: timedelta) -> Reading | None:
        asked.append((kind, window))
        return Reading(2, 5000)

    samples = Samples(clock=time)
    samples.supply("ParityMismatches", source)
    assert samples.read("ParityMismatches", "application", HOUR) == Reading(2, 5000)
    assert asked == [("application", HOUR)]
