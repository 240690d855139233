"""A burst of objects, and what the operator's metrics say of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from eatool.demo.failing import DemoError
from eatool.demo.operating import Metrics
from eatool.demo.scene import Scene

BURST = 200
_PATIENCE = 60.0


def measure(scene: Scene, before: int) -> None:
    """Create :data:`BURST` objects after ``before`` events; the figures of the MQTT broker."""
    tell, parts = scene.tell, scene.parts
    broker = parts.mqtt.name
    manifests = parts.home.directory / "servers.yaml"
    manifests.write_text("".join(map(_server, range(BURST))))
    earlier = parts.operator.metrics()
    started = time.monotonic()
    scene.ada.show("create", "-f", str(manifests))
    created = time.monotonic()
    metrics, most, acknowledged_at = _until_published(scene, broker, before + BURST)
    tell.output(f"{BURST / (created - started):7.0f} objects/s created by kubectl")
    tell.output(
        f"{BURST / (acknowledged_at - started):7.0f} objects/s from kubectl to the "
        f"acknowledgement of {broker}"
    )
    tell.output(f"{most:7.0f} events waited for {broker} at most, none waits now")
    for line in figures(metrics.since(earlier), broker):
        tell.output(line)


def await_acknowledged(scene: Scene, events: int) -> Metrics:
    """The metrics when every broker has acknowledged so many, and none waits."""
    for broker in scene.parts.brokers:
        metrics, _, _ = _until_published(scene, broker.name, events)
    return metrics


def acknowledged(metrics: Metrics, broker: str) -> float:
    """Events that a broker has acknowledged, re-sends included."""
    return metrics.total("eatool_publish_total", broker=broker, result="acknowledged")


def waiting(metrics: Metrics, broker: str) -> float:
    """Events that it has not."""
    return metrics.total("eatool_outbox_events", broker=broker)


def figures(metrics: Metrics, broker: str) -> Iterator[str]:
    """What an operator's day looks like, in a few lines."""
    for name, what, labels in (
        ("eatool_reconcile_duration_seconds", "one reconcile, status written", {}),
        ("eatool_append_duration_seconds", "one append, queueing and commit to disk", {}),
        (
            "eatool_event_publish_latency_seconds",
            f"from commit to acknowledgement by {broker}",
            {"broker": broker},
        ),
    ):
        yield f"{metrics.mean(name, **labels) * 1000:7.0f} ms on average: {what}"
    requests = metrics.total("eatool_api_requests_total")
    created = metrics.total("eatool_events_appended_total")
    yield f"{requests / created:7.2f} requests to the API server for each new object"


def _until_published(scene: Scene, broker: str, events: int) -> tuple[Metrics, float, float]:
    """The last metrics, the largest lag in events, and when all were acknowledged."""
    most, acknowledged_at = 0.0, 0.0
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        metrics = scene.parts.operator.metrics()
        lag = waiting(metrics, broker)
        most = max(most, lag)
        if acknowledged(metrics, broker) >= events:
            acknowledged_at = acknowledged_at or time.monotonic()
            if not lag:  # sampled once a second
                return metrics, most, acknowledged_at
        time.sleep(0.1)
    raise DemoError(f"not all of {events} events were published in {_PATIENCE:.0f} s")


def _server(number: int) -> str:
    name = f"vm-{number:04}"
    return f"""---
apiVersion: eatool.io/v1alpha1
kind: Server
metadata:
  name: {name}
spec:
  hostname: {name}.aurelia.example
  environment: staging
  criticality: low
"""
