from __future__ import annotations

import random
from datetime import timedelta

import pytest
from tests.rollout.conftest import Time

from eatool.rollout.samples import PRECISION, Reading, Samples

HOUR = timedelta(hours=1)


@pytest.fixture
def samples(time: Time) -> Samples:
    return Samples(clock=time)


def test_nothing_observed_is_no_figure(samples: Samples) -> None:
    samples.observe("ParkedStreams", "server", 1)
    samples.observe("ErrorRatio", "application", 1)
    assert samples.read("ParkedStreams", "application", HOUR) is None


def test_figures_of_state_count_as_they_were_at_worst(samples: Samples, time: Time) -> None:
    for value in (0, 3, 0):
        samples.observe("ParityMismatches", "application", value)
        time.advance(minutes=20)
    assert samples.read("ParityMismatches", "application", HOUR) == Reading(3, 3)
    assert samples.read("ParityMismatches", "application", timedelta(minutes=25)) == Reading(0, 1)


def test_the_latest_coverage_counts(samples: Samples, time: Time) -> None:
    for value in (0.2, 1.0, 0.9):
        samples.observe("ParityCoverage", "application", value)
        time.advance(minutes=1)
    assert samples.read("ParityCoverage", "application", HOUR) == Reading(0.9, 3)


def test_a_ratio_is_what_failed_of_all(samples: Samples) -> None:
    samples.observe("ErrorRatio", "application", 0, count=997)
    samples.observe("ErrorRatio", "application", 1, count=3)
    assert samples.read("ErrorRatio", "application", HOUR) == Reading(0.003, 1000)


def test_the_99th_percentile_is_never_too_small_nor_much_too_large(
    samples: Samples, time: Time
) -> None:
    rng = random.Random(7)
    values = [rng.expovariate(2) for _ in range(5000)]
    for value in values:
        samples.observe("PublishLagSecondsP99", "application", value)
        time.advance(milliseconds=100)
    exact = sorted(values)[4950 - 1]
    reading = samples.read("PublishLagSecondsP99", "application", HOUR)
    assert reading is not None
    assert reading.samples == 5000
    assert exact <= reading.value <= exact * PRECISION


def test_a_single_observation_is_its_own_percentile(samples: Samples) -> None:
    samples.observe("CommandLatencySecondsP99", "application", 0.0)
    reading = samples.read("CommandLatencySecondsP99", "application", HOUR)
    assert reading == Reading(0.0, 1)


def test_a_day_is_kept_and_no_more(samples: Samples, time: Time) -> None:
    samples.observe("ParkedStreams", "application", 5)
    time.advance(hours=23)
    day = timedelta(hours=24)
    assert samples.read("ParkedStreams", "application", day) == Reading(5, 1)
    time.advance(hours=2)
    assert samples.read("ParkedStreams", "application", day) is None
    for _ in range(30_000):
        samples.observe("ParkedStreams", "application", 0)
        time.advance(seconds=10)
    ring = samples._rings["ParkedStreams", "application"]
    assert len(ring) <= 24 * 360 + 2


def test_another_room_may_answer_itself(samples: Samples) -> None:
    asked: list[tuple[str, timedelta]] = []

    def source(kind: str, window: timedelta) -> Reading | None:
        asked.append((kind, window))
        return Reading(2, 5000)

    samples.supply("ParityMismatches", source)
    assert samples.read("ParityMismatches", "application", HOUR) == Reading(2, 5000)
    assert asked == [("application", HOUR)]
