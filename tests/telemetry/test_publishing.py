"""What the relay says, as series of one broker."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from eatool.publishing.breaker import CircuitState
from eatool.publishing.observer import Observer
from eatool.store.encoding import StoredEvent
from eatool.telemetry.labels import Labels
from eatool.telemetry.prometheus import PrometheusMetrics
from eatool.telemetry.publishing import RelayMetrics


@pytest.fixture
def metrics() -> PrometheusMetrics:
    return PrometheusMetrics(Labels(events={"server": ()}, brokers=("default",)))


@pytest.fixture
def observer(metrics: PrometheusMetrics) -> Observer:
    return RelayMetrics(metrics, "default")


def value(metrics: PrometheusMetrics, name: str, **labels: str) -> float:
    found = metrics.registry.get_sample_value(f"eatool_{name}", {"broker": "default", **labels})
    assert found is not None, f"no series {name}{labels}"
    return found


def event() -> StoredEvent:
    return StoredEvent(
        position=1,
        stream_id="server/n/s",
        version=1,
        event_id=uuid4(),
        type="ServerCreated.v1",
        data="{}",
        metadata="{}",
        actor="a",
        correlation_id=None,
        causation_id=None,
        recorded_at=datetime.now(UTC),
        partition=0,
        previous_hash=b"",
        hash=b"",
    )


def test_an_acknowledgement_has_two_latencies(
    metrics: PrometheusMetrics, observer: Observer
) -> None:
    observer.published(event(), since_recorded=2.0, call=0.5)
    assert value(metrics, "publish_total", result="acknowledged") == 1
    assert value(metrics, "event_publish_latency_seconds_sum") == 2.0
    assert value(metrics, "publish_duration_seconds_sum") == 0.5


@pytest.mark.parametrize("reason", ["session", "transient", "refused"])
def test_what_is_tried_again(metrics: PrometheusMetrics, observer: Observer, reason: str) -> None:
    observer.failed(reason)
    assert value(metrics, "publish_total", result=reason) == 1
    assert value(metrics, "publish_retries_total", reason=reason) == 1


def test_what_is_given_up_is_no_retry(metrics: PrometheusMetrics, observer: Observer) -> None:
    observer.failed("permanent")
    observer.parked(1)
    assert value(metrics, "publish_total", result="permanent") == 1
    assert value(metrics, "parked_streams") == 1


@pytest.mark.parametrize("reason", ["permanent", "refused"])
def test_a_dead_letter_has_a_kind_and_a_reason(
    metrics: PrometheusMetrics, observer: Observer, reason: str
) -> None:
    assert value(metrics, "dead_letters_total", entity="server", reason=reason) == 0
    observer.given_up(event(), reason)
    assert value(metrics, "dead_letters_total", entity="server", reason=reason) == 1


def test_every_state_of_the_breaker_has_a_series(
    metrics: PrometheusMetrics, observer: Observer
) -> None:
    for state in CircuitState:
        observer.circuit(state)
        assert value(metrics, "circuit_state", state=state) == 1


def test_the_first_session_is_no_reconnect(metrics: PrometheusMetrics, observer: Observer) -> None:
    observer.connection(up=True)
    assert value(metrics, "broker_reconnects_total") == 0
    observer.connection(up=False)
    assert value(metrics, "broker_connected") == 0
    observer.connection(up=True)
    assert value(metrics, "broker_connected") == 1
    assert value(metrics, "broker_reconnects_total") == 1
