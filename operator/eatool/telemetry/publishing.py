"""What the relay tells, as metrics of one broker."""

from __future__ import annotations

from eatool.publishing.breaker import CircuitState
from eatool.store.encoding import StoredEvent
from eatool.telemetry.metrics import PublishingMetrics, PublishResult


class RelayMetrics:
    """An :class:`~eatool.publishing.observer.Observer` for the metrics."""

    def __init__(self, metrics: PublishingMetrics, broker: str) -> None:
        self._metrics = metrics
        self._broker = broker
        self._was_connected = False

    def published(self, event: StoredEvent, since_recorded: float, call: float) -> None:
        """Count an acknowledged event and both its latencies."""
        self._metrics.published(self._broker, since_recorded, call)

    def failed(self, reason: str) -> None:
        """Count a failed attempt."""
        self._metrics.publish_failed(self._broker, PublishResult(reason))

    def given_up(self, event: StoredEvent, reason: str) -> None:
        """Count an event that parks its stream."""
        self._metrics.dead_lettered(self._broker, event.ref.aggregate_type, PublishResult(reason))

    def parked(self, streams: int) -> None:
        """Show how many streams are parked."""
        self._metrics.parked_streams(self._broker, streams)

    def connection(self, *, up: bool) -> None:
        """Show the session; a second one in the same process is a reconnect."""
        self._metrics.broker_connected(self._broker, up)
        if up and self._was_connected:
            self._metrics.broker_reconnected(self._broker)
        self._was_connected |= up

    def circuit(self, state: CircuitState) -> None:
        """Show the breaker's state."""
        self._metrics.circuit(self._broker, state)
