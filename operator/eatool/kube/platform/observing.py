"""What relays say while they run: metrics for brokers, and a reason to look at once."""

from __future__ import annotations

from collections.abc import Callable

from eatool.publishing.breaker import CircuitState
from eatool.publishing.observer import NullObserver
from eatool.store.encoding import StoredEvent
from eatool.telemetry.metrics import PublishingMetrics
from eatool.telemetry.publishing import RelayMetrics

Wake = Callable[[], None]
#: Called with broker and aggregate type of an acknowledged event, and the seconds since its commit.
Published = Callable[[str, str, float], None]


class BrokerObserver(RelayMetrics):
    """Metrics of one broker; its transitions show in the status without delay."""

    def __init__(
        self,
        metrics: PublishingMetrics,
        broker: str,
        wake: Wake,
        published: Published | None = None,
    ) -> None:
        super().__init__(metrics, broker)
        self._wake = wake
        self._published = published

    def published(self, event: StoredEvent, since_recorded: float, call: float) -> None:
        """Count an acknowledged event and both its latencies."""
        super().published(event, since_recorded, call)
        if self._published is not None:
            self._published(self._broker, event.ref.aggregate_type, since_recorded)

    def parked(self, streams: int) -> None:
        """See to the objects; the figure comes from the checkpoints, of all processes."""
        self._wake()

    def connection(self, *, up: bool) -> None:
        """The session was opened or lost."""
        super().connection(up=up)
        self._wake()

    def circuit(self, state: CircuitState) -> None:
        """The circuit breaker changed."""
        super().circuit(state)
        self._wake()


class ReplayObserver(NullObserver):
    """No series: replays come and go, and their progress is in their status."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake

    def connection(self, *, up: bool) -> None:
        """The session was opened or lost; at the end it is closed."""
        self._wake()
