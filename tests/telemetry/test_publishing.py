"""What the relay says, as series of one broker."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from eatool.publishing.breaker import CircuitState
from eatool.publishing.observer import Observer
from eatool.store.encoding import StoredEvent
from eatool.telemetry.broker_instruments import MAX_BROKERS
from eatool.telemetry.labels import OTHER, Labels
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


def test_a_broker_brings_its_series_and_takes_them_along() -> None:
    metrics = PrometheusMetrics(Labels(events={"server": ()}))

    def of(broker: str) -> set[str]:
        return {
            sample.name
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.labels.get("broker") == broker
        }

    assert of("late") == set()
    metrics.broker_added("late")
    fresh = of("late")
    assert {"eatool_outbox_events", "eatool_dead_letters_total", "eatool_circuit_state"} <= fresh
    observer = RelayMetrics(metrics, "late")
    observer.circuit(CircuitState.OPEN)
    observer.given_up(event(), "permanent")
    metrics.broker_added("late")
    labels = {"broker": "late", "state": "open"}
    assert metrics.registry.get_sample_value("eatool_circuit_state", labels) == 1, "not reset"
    assert of("late") == fresh

    metrics.broker_removed("late")
    assert of("late") == set()
    observer.failed("session")  # a last word
    assert of("late") == set()
    metrics.broker_added("late")
    labels = {"broker": "late", "state": "closed"}
    assert metrics.registry.get_sample_value("eatool_circuit_state", labels) == 1


def test_brokers_beyond_the_bound_are_counted_together() -> None:
    metrics = PrometheusMetrics(Labels(events={"server": ()}))
    for number in range(MAX_BROKERS + 5):
        metrics.broker_added(f"broker-{number}")
        metrics.outbox(f"broker-{number}", number, None)
    brokers = {
        sample.labels["broker"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if "broker" in sample.labels
    }
    assert len(brokers) == MAX_BROKERS + 1
    assert OTHER in brokers
