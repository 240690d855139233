"""Built-in criteria by the causes they are for: each fails for its cause, and passes without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from tests.rollout.phased import KIND, Failing, Site, make_old_registry, site

from eatool.publishing.checkpoints import ParkedStream
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.registry.outcome import Queued
from eatool.rollout.criteria import Outcome, evaluate
from eatool.rollout.declared import CriterionSpec
from eatool.rollout.measuring import Figures, Inline, Lag, SampledAppender
from eatool.rollout.phases import Phase
from eatool.rollout.samples import Samples
from eatool.rollout.shared_samples import SharedSamples
from eatool.store.clock import utc_now
from eatool.store.encoding import partition_of
from eatool.store.port import Append, NewEvent, StoreUnavailable, WrongExpectedVersion

ORGANIZATION = KIND.aggregate_type


@pytest.fixture
async def one(url: str) -> AsyncIterator[Site]:
    make_old_registry(url)
    async with site(url) as opened:
        yield opened


class Followed:
    """The lag of the site's own follower."""

    def __init__(self, one: Site) -> None:
        self._one = one

    def of(self, aggregate_type: str) -> tuple[int, float] | None:
        found = self._one.follower.lag().get(aggregate_type)
        return None if found is None else (found.events, found.seconds)


def judged(
    one: Site, metric: str, op: str, threshold: str, lag: Lag | None = None
) -> tuple[Outcome, float | None]:
    samples = Samples()
    Figures(one.store.engine, one.view.of, one.findings, one.queue, lag or Inline()).supply(samples)
    return verdict(samples, metric, op, threshold)


def verdict(samples: Samples, metric: str, op: str, threshold: str) -> tuple[Outcome, float | None]:
    criterion = CriterionSpec.model_validate(
        {"name": "c", "metric": metric, "op": op, "threshold": threshold}
    )
    (result,) = evaluate([criterion], ORGANIZATION, samples, None)
    return result.outcome, result.value


async def test_a_follower_that_stands(one: Site) -> None:
    await one.enter(Phase.ASYNC_COMMANDS)
    for name in "abc":
        assert isinstance(await one.registry.apply(one.change(name, name=name)), Queued)
    assert await one.work() == 3
    lag = Followed(one)
    assert judged(one, "ProjectionLagEvents", "<", "3", lag) == (Outcome.FAIL, 3)
    assert judged(one, "ProjectionLagEvents", "<=", "3", lag) == (Outcome.PASS, 3)
    outcome, seconds = judged(one, "ProjectionLagSeconds", "<=", "0", lag)
    assert outcome is Outcome.FAIL
    assert seconds not in (None, 3)
    while one.follower.step():
        pass
    assert judged(one, "ProjectionLagEvents", "==", "0", lag) == (Outcome.PASS, 0)
    assert judged(one, "ProjectionLagSeconds", "==", "0", lag) == (Outcome.PASS, 0)


async def test_a_parked_stream_of_the_kind(one: Site) -> None:
    checkpoints = SqlCheckpoints(one.store.engine)
    (epoch,) = {each.epoch for each in checkpoints.claim("mqtt", "relay", lease=60.0).held}

    def parked(stream_id: str) -> ParkedStream:
        partition = partition_of(stream_id)
        return ParkedStream(stream_id, partition, 1, 1, "too large", 1, utc_now())

    assert checkpoints.park("mqtt", "relay", epoch, parked("server/default/shop"))
    assert judged(one, "ParkedStreams", "==", "0") == (Outcome.PASS, 0)
    stream = parked(f"{ORGANIZATION}/default/shop")
    assert checkpoints.park("mqtt", "relay", epoch, stream)
    assert judged(one, "ParkedStreams", "==", "0") == (Outcome.FAIL, 1)
    assert checkpoints.unpark("mqtt", "relay", epoch, stream)
    assert judged(one, "ParkedStreams", "==", "0") == (Outcome.PASS, 0)


async def test_appends_that_fail_or_meet_others(one: Site) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    await one.registry.apply(one.change("shop", name="Shop"))
    (known,) = one.store.read_stream(f"{ORGANIZATION}/default/shop")
    samples, failing = Samples(), Failing(one.opened.appender)
    shared = SharedSamples(one.store, samples)
    shared.supply()
    appender = SampledAppender(failing, samples, one.view.of)

    def appended(name: str, version: int) -> Append:
        new = NewEvent(uuid4(), known.type, known.data, known.metadata, known.actor)
        return Append(f"{ORGANIZATION}/default/{name}", version, (new,))

    for name in "ab":
        await appender.append(appended(name, 0))
    shared.keep()
    assert verdict(samples, "ErrorRatio", "==", "0") == (Outcome.PASS, 0)
    assert verdict(samples, "AppendConflictRatio", "==", "0") == (Outcome.PASS, 0)
    with pytest.raises(WrongExpectedVersion):
        await appender.append(appended("shop", 0))
    failing.failures = [StoreUnavailable("away")]
    with pytest.raises(StoreUnavailable):
        await appender.append(appended("c", 0))
    failing.failures = [StoreUnavailable("away")]
    with pytest.raises(StoreUnavailable):
        await appender.append(appended("c", 0))
    shared.keep()
    assert verdict(samples, "ErrorRatio", "<", "0.4") == (Outcome.FAIL, 0.4)
    assert verdict(samples, "AppendConflictRatio", "<", "0.2") == (Outcome.FAIL, 0.2)


async def test_commands_that_waited(one: Site) -> None:
    await one.enter(Phase.ASYNC_COMMANDS)
    latency = ("CommandLatencySecondsP99", "<", "60")
    assert judged(one, *latency) == (Outcome.INCONCLUSIVE, None)
    await one.registry.apply(one.change("quick", name="Quick"))
    assert await one.work() == 1
    outcome, quick = judged(one, *latency)
    assert outcome is Outcome.PASS
    assert quick is not None
    await one.registry.apply(one.change("slow", name="Slow"))
    one.write("UPDATE command SET enqueued_at = '2020-01-01 00:00:00.000000'")
    assert await one.work() == 1
    outcome, slow = judged(one, *latency)
    assert outcome is Outcome.FAIL
    assert slow is not None
    assert slow > 3600
