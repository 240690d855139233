"""The measured appender passes everything through and counts it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, create_engine

from eatool.domain.kinds import KINDS
from eatool.store.batch import Encoded
from eatool.store.port import (
    Append,
    Appended,
    AppendRefused,
    ConditionFailed,
    EventIdTaken,
    EventTooLarge,
    KeyTaken,
    Outcome,
    ProjectionFailed,
    RecordedEvent,
    ReferenceGone,
    StillReferenced,
    StoreError,
    StoreUnavailable,
    WrongExpectedVersion,
)
from eatool.telemetry.labels import Labels
from eatool.telemetry.prometheus import PrometheusMetrics
from eatool.telemetry.recording import (
    MeasuredAppender,
    MeasuredCommits,
    MeasuredProjection,
    count_retries,
)

REFUSALS = {
    "wrong_expected_version": WrongExpectedVersion("s", 1, 2),
    "key_taken": KeyTaken("k", "h"),
    "reference_gone": ReferenceGone(),
    "still_referenced": StillReferenced(),
    "condition_failed": ConditionFailed(),
    "event_id_taken": EventIdTaken(),
}


class Answering:
    def __init__(self, answer: Appended | Exception) -> None:
        self._answer = answer

    async def append(self, *appends: Append) -> Appended:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.fixture
def metrics() -> PrometheusMetrics:
    labels = Labels.of(
        KINDS.values(), brokers=("default",), projections=("read_tables",), routes=("/readyz",)
    )
    return PrometheusMetrics(labels)


def value(metrics: PrometheusMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"eatool_{name}", labels)


def test_every_refusal_has_a_reason_of_its_own() -> None:
    assert {type(refusal) for refusal in REFUSALS.values()} == set(AppendRefused.__subclasses__())


@pytest.mark.parametrize("reason", REFUSALS)
async def test_a_refusal_is_a_conflict(metrics: PrometheusMetrics, reason: str) -> None:
    with pytest.raises(type(REFUSALS[reason])):
        await MeasuredAppender(Answering(REFUSALS[reason]), metrics, "read_tables").append()
    assert value(metrics, "append_conflicts_total", reason=reason) == 1
    assert value(metrics, "append_duration_seconds_count", result="refused") == 1


async def test_an_absent_database_is_down(metrics: PrometheusMetrics) -> None:
    metrics.store_up(up=True)
    with pytest.raises(StoreUnavailable):
        await MeasuredAppender(Answering(StoreUnavailable()), metrics, "read_tables").append()
    assert value(metrics, "store_up") == 0
    assert value(metrics, "append_duration_seconds_count", result="unavailable") == 1


async def test_anything_else_is_an_error(metrics: PrometheusMetrics) -> None:
    with pytest.raises(EventTooLarge):
        await MeasuredAppender(Answering(EventTooLarge()), metrics, "read_tables").append()
    assert value(metrics, "append_duration_seconds_count", result="error") == 1


async def test_a_failing_projection_is_an_error_of_its_own(metrics: PrometheusMetrics) -> None:
    with pytest.raises(ProjectionFailed):
        await MeasuredAppender(Answering(ProjectionFailed()), metrics, "read_tables").append()
    assert value(metrics, "projection_errors_total", projection="read_tables") == 1
    assert value(metrics, "append_duration_seconds_count", result="error") == 1


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_change_that_is_decided_anew_is_a_retry(metrics: PrometheusMetrics, reason: str) -> None:
    count_retries(metrics)("server", REFUSALS[reason])
    assert value(metrics, "append_retries_total", entity="server", reason=reason) == 1
    assert value(metrics, "append_retries_total", entity="application", reason=reason) == 0


class Projecting:
    def __init__(self) -> None:
        self.broken = False
        self.seen: list[tuple[Connection, Sequence[RecordedEvent]]] = []

    def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        if self.broken:
            raise RuntimeError
        self.seen.append((connection, events))


def test_what_a_projection_applies_is_timed(metrics: PrometheusMetrics) -> None:
    inner, events = Projecting(), list[RecordedEvent]()
    projection = MeasuredProjection(inner, metrics)
    with create_engine("sqlite://").connect() as connection:
        projection.apply(connection, events)
        assert inner.seen == [(connection, events)]
        inner.broken = True
        with pytest.raises(RuntimeError):
            projection.apply(connection, events)
    name = "projection_apply_duration_seconds_count"
    assert value(metrics, name, projection="read_tables") == 1, "what failed was not applied"


class Committing:
    def __init__(self) -> None:
        self.tidied = 0

    def append_encoded(self, batch: Sequence[Encoded | StoreError]) -> list[Outcome]:
        if not batch:
            raise StoreUnavailable
        return [Appended((), repeated=False) for _ in batch]

    def tidy(self) -> None:
        self.tidied += 1


def test_a_commit_is_counted_with_its_transactions(metrics: PrometheusMetrics) -> None:
    store = Committing()
    commits = MeasuredCommits(store, metrics)
    assert len(commits.append_encoded([StoreError()] * 3)) == 3
    with pytest.raises(StoreUnavailable):
        commits.append_encoded([])
    commits.tidy()
    assert value(metrics, "append_batch_size_count") == 1, "what failed is no commit"
    assert value(metrics, "append_batch_size_sum") == 3
    assert store.tidied == 1


async def test_a_repeat_is_no_event(metrics: PrometheusMetrics) -> None:
    await MeasuredAppender(Answering(Appended((), repeated=True)), metrics, "read_tables").append()
    assert value(metrics, "append_duration_seconds_count", result="repeated") == 1
    assert value(metrics, "store_up") == 1


def test_all_event_types_of_all_kinds_start_at_zero(metrics: PrometheusMetrics) -> None:
    for kind in KINDS.values():
        for event in kind.events:
            labels = {"entity": kind.aggregate_type, "event_type": event.versioned_type()}
            assert value(metrics, "events_appended_total", **labels) == 0


def test_the_real_kinds_stay_far_below_the_limit(metrics: PrometheusMetrics) -> None:
    assert sum(len(family.samples) for family in metrics.registry.collect()) < 3000
