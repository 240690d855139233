"""What looks at brokers find, to make statuses of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from eatool.kube.platform.broker_status import Look
from eatool.publishing.breaker import CircuitState
from eatool.publishing.checkpoints import ParkedStream
from eatool.publishing.lag import Lag
from eatool.publishing.options import RelayStatus
from eatool.publishing.port import Fault

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
BROKER: dict[str, Any] = {
    "apiVersion": "platform.eatool.io/v1alpha1",
    "kind": "EventBroker",
    "metadata": {
        "name": "main",
        "namespace": "ops",
        "uid": "3f1c0a52-0000",
        "resourceVersion": "7",
        "generation": 2,
    },
    "spec": {"type": "mqtt", "addresses": ["mqtt://b"]},
}
LAG = Lag(known=True, position=40, head=40, events=0, oldest=None, parked=())
RELAY = RelayStatus(
    destination="main",
    partitions=64,
    leads=True,
    position=40,
    head=40,
    lag_events=0,
    oldest_unpublished_at=None,
    connected=True,
    address="mqtt://b:1883",
    circuit=CircuitState.CLOSED,
    in_flight=0,
    waiting=0,
    parked=0,
    last_error=None,
)
DOWN = replace(
    RELAY,
    connected=False,
    address=None,
    circuit=CircuitState.OPEN,
    last_error="mqtt://b:1883: connection refused",
    fault=Fault.CONNECTION,
)
RUNNING = Look(problem=None, suspended=False, relay=RELAY, lag=LAG)


def parked(stream_id: str = "server/shop/db-1", **changes: Any) -> ParkedStream:
    row = ParkedStream(stream_id, 3, 12, 2, "broker answered Not authorized (0x87)", 1, NOW)
    return replace(row, **changes)


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
