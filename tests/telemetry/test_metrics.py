"""The metrics: complete from the start, bounded for ever, the same as their documentation."""

from __future__ import annotations

import contextlib
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from eatool.publishing.breaker import CircuitState
from eatool.publishing.certificates import Certificate
from eatool.rollout.ledger import Standing
from eatool.rollout.phases import Phase
from eatool.telemetry import reference
from eatool.telemetry.labels import OTHER, Labels
from eatool.telemetry.metrics import (
    AppendResult,
    ConflictReason,
    HttpMetrics,
    LogMetrics,
    Metrics,
    NullMetrics,
    ProjectionState,
    PublishingMetrics,
    PublishResult,
    ReconcileMetrics,
    ReconcileResult,
)
from eatool.telemetry.prometheus import PrometheusMetrics
from eatool.telemetry.rollout_metrics import Judged, RolloutMetrics

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
ENTITIES = [f"entity_{number}" for number in range(9)]
FORBIDDEN = {"name", "namespace", "uid", "user", "actor", "topic", "message", "event_id", "id"}


@pytest.fixture
def labels() -> Labels:
    """As large as the nine kinds with two brokers."""
    return Labels(
        events={
            entity: [f"{entity}{suffix}.v1" for suffix in ("Created", "Updated", "Deleted", "X")]
            for entity in ENTITIES
        },
        references=dict.fromkeys(ENTITIES, ENTITIES),
        resources=tuple(f"{entity}s{sub}" for entity in ENTITIES for sub in ("", "/status")),
        brokers=("solace", "mqtt"),
        projections=("landscape", "history"),
        routes=("/healthz", "/readyz", "/metrics"),
    )


@pytest.fixture
def metrics(labels: Labels) -> PrometheusMetrics:
    """With every kind under rollout."""
    metrics = PrometheusMetrics(labels)
    for entity in ENTITIES:
        metrics.rollout.standing(entity, Standing(entity, Phase.LEGACY, 1, NOW))
        metrics.rollout.judged(entity, [Judged("parity", 0.0, 0.0, "pass")], 1.0)
    return metrics


def series(metrics: PrometheusMetrics) -> dict[str, float]:
    text = generate_latest(metrics.registry).decode()
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def use_everything(metrics: Metrics, value: str) -> None:
    """Call every method, with ``value`` for each open label."""
    for result in ReconcileResult:
        metrics.reconciled(value, result, 0.1)
    with metrics.reconciling(value):
        pass
    metrics.concurrency_limit(16)
    metrics.queued(value, 3)
    metrics.change_recorded(value, 0.5)
    metrics.generations_coalesced(value, 2)
    metrics.references_pending(value, value, 1)
    metrics.watch_event(value, 1.0)
    metrics.watch_missed(value, 1)
    metrics.api_request(value, value, 200)
    metrics.api_request("patch", value, 0)
    metrics.appended(value, value)
    for answer in AppendResult:
        metrics.append_finished(answer, 0.1)
    metrics.append_batch(7)
    for reason in ConflictReason:
        metrics.append_conflict(reason)
    metrics.store_head(12)
    metrics.store_up(True)
    metrics.append_retried(value, ConflictReason.KEY_TAKEN)
    metrics.store_size(4096)
    metrics.db_connections(1, 2, 15)
    metrics.projection_at(value, 10, 2, 1.0)
    for standing in ProjectionState:
        metrics.projection_state(value, standing)
    metrics.projection_applied(value, 0.1)
    metrics.projection_failed(value)
    metrics.outbox(value, 2, 1.0)
    metrics.published(value, 0.2, 0.1)
    for outcome in PublishResult:
        metrics.publish_failed(value, outcome)
        metrics.dead_lettered(value, value, outcome)
    metrics.broker_connected(value, True)
    metrics.broker_reconnected(value)
    for state in CircuitState:
        metrics.circuit(value, state)
    metrics.parked_streams(value, 1)
    metrics.certificates(value, {Certificate.CA: NOW})
    metrics.http_request(value, value, 299, 0.1)


def test_the_null_twin_takes_every_call() -> None:
    use_everything(NullMetrics(), "anything")


def test_every_known_combination_starts_at_zero(metrics: PrometheusMetrics) -> None:
    found = series(metrics)
    for entity in ENTITIES:
        for result in ReconcileResult:
            assert found[f'eatool_reconcile_total{{entity="{entity}",result="{result}"}}'] == 0
        event = f'eatool_events_appended_total{{entity="{entity}",event_type="{entity}Created.v1"}}'
        assert found[event] == 0
    for answer in PublishResult:
        assert found[f'eatool_publish_total{{broker="mqtt",result="{answer}"}}'] == 0
    assert found['eatool_event_publish_latency_seconds_count{broker="solace"}'] == 0
    assert found["eatool_store_head_position"] == 0
    assert found['eatool_http_requests_total{code="503",method="GET",route="/readyz"}'] == 0


def test_every_metric_has_a_sample_before_anything_happens(metrics: PrometheusMetrics) -> None:
    silent = [f.name for f in metrics.registry.collect() if not f.samples]
    assert silent == []


def test_series_stay_bounded_whatever_the_labels(metrics: PrometheusMetrics) -> None:
    at_start = len(series(metrics))
    use_everything(metrics, "unknown-0")
    guarded = len(series(metrics))
    for number in range(1, 300):
        use_everything(metrics, f"unknown-{number}")
    assert len(series(metrics)) == guarded
    assert at_start < guarded < 3000
    assert not any("unknown" in name for name in series(metrics))
    assert series(metrics)[f'eatool_broker_reconnects_total{{broker="{OTHER}"}}'] == 300


def reported() -> set[str]:
    """Every method that the declared metrics hang on."""
    protocols = (ReconcileMetrics, LogMetrics, PublishingMetrics, HttpMetrics, RolloutMetrics)
    return {name for protocol in protocols for name in vars(protocol) if not name.startswith("_")}


def test_everything_declared_is_fed_by_somebody() -> None:
    declaring = {"metrics.py", "prometheus.py", "rollout_metrics.py", "rollout.py"}
    sources = [
        path.read_text()
        for path in (ROOT / "operator" / "eatool").rglob("*.py")
        if not (path.parent.name == "telemetry" and path.name in declaring)
    ]
    fed = {
        name
        for name in reported()
        if any(re.search(rf"metrics\.{name}\b", text) for text in sources)
    }
    assert fed == reported(), "a series that nobody moves is a lie"


def test_the_head_never_goes_back(metrics: PrometheusMetrics) -> None:
    metrics.store_head(12)
    metrics.store_head(11)
    assert series(metrics)["eatool_store_head_position"] == 12


def test_a_known_value_is_kept_beside_an_unknown_one(metrics: PrometheusMetrics) -> None:
    metrics.appended("entity_1", "Nonsense.v9")
    name = f'eatool_events_appended_total{{entity="entity_1",event_type="{OTHER}"}}'
    assert series(metrics)[name] == 1


def test_rare_codes_and_methods_show_once_they_occur(metrics: PrometheusMetrics) -> None:
    name = 'eatool_http_requests_total{code="405",method="POST",route="/readyz"}'
    assert name not in series(metrics)
    metrics.http_request("/readyz", "POST", 405, 0.001)
    assert series(metrics)[name] == 1


def test_the_circuit_is_a_state_set(metrics: PrometheusMetrics) -> None:
    def states() -> dict[str, float]:
        return {
            state: series(metrics)[f'eatool_circuit_state{{broker="mqtt",state="{state}"}}']
            for state in CircuitState
        }

    assert states() == {"closed": 1, "half_open": 0, "open": 0}
    metrics.circuit("mqtt", CircuitState.OPEN)
    metrics.circuit("mqtt", CircuitState.OPEN)
    assert states() == {"closed": 0, "half_open": 0, "open": 1}
    name = 'eatool_circuit_transitions_total{broker="mqtt",state="open"}'
    assert series(metrics)[name] == 1, "reporting the same state again is no transition"


def test_workers_are_active_for_the_length_of_the_block(metrics: PrometheusMetrics) -> None:
    name = 'eatool_active_workers{entity="entity_0"}'
    with contextlib.suppress(RuntimeError), metrics.reconciling("entity_0"):
        assert series(metrics)[name] == 1
        raise RuntimeError
    assert series(metrics)[name] == 0


def test_two_processes_in_one_do_not_share_series(labels: Labels) -> None:
    one, two = PrometheusMetrics(labels), PrometheusMetrics(labels)
    one.store_head(5)
    assert series(two)["eatool_store_head_position"] == 0


def test_no_label_identifies_an_object_or_a_person(metrics: PrometheusMetrics) -> None:
    used = {label for metric in metrics.instruments.declared for label in metric.labels}
    assert not used & FORBIDDEN


def test_no_twin_series_for_the_creation_time(metrics: PrometheusMetrics) -> None:
    names = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    assert not {name for name in names if name.endswith("_created")}


def test_the_documentation_is_the_declaration(metrics: PrometheusMetrics) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert reference.rewrite(page) == page, (
        "run python -m eatool.telemetry.reference docs/metrics.md"
    )
    exist = {metric.name for metric in metrics.instruments.declared}
    named = set(re.findall(r"`?(eatool_[a-z0-9_]+)", page))
    assert named == exist


def test_promtool_finds_nothing_to_complain_about(
    metrics: PrometheusMetrics, promtool: Path
) -> None:
    use_everything(metrics, "entity_1")
    answer = subprocess.run(
        [promtool, "check", "metrics"],
        input=generate_latest(metrics.registry),
        capture_output=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr.decode()
    assert answer.stderr == b""


def test_promtool_is_a_check_that_can_fail(promtool: Path) -> None:
    answer = subprocess.run(
        [promtool, "check", "metrics"],
        input=b"# TYPE eatool_bad counter\neatool_bad 1\n",
        capture_output=True,
        check=False,
    )
    assert answer.returncode != 0
