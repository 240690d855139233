"""The series of brokers, which come and go while the process runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from prometheus_client.metrics import MetricWrapperBase

from eatool.publishing.breaker import CircuitState
from eatool.publishing.certificates import Certificate
from eatool.telemetry.declaring import Declarations
from eatool.telemetry.labels import Family, cross
from eatool.telemetry.metrics import PublishResult

M = TypeVar("M", bound=MetricWrapperBase)

#: Brokers with series of their own; about a hundred series each.
MAX_BROKERS = 50

#: One publish call.
_CALL = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0)
#: From recorded to acknowledged; 10 s and 30 s are objectives.
_DELIVERY = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)
_GIVEN_UP = (PublishResult.PERMANENT, PublishResult.REFUSED)
_RETRIED = tuple(sorted({*PublishResult} - {PublishResult.ACKNOWLEDGED, PublishResult.PERMANENT}))


class BrokerInstruments:
    """Every metric with the label ``broker``."""

    def __init__(self, declare: Declarations, entities: Iterable[str]) -> None:
        """``entities``: aggregate types."""
        self._names: set[str] = set()
        self._families: list[tuple[Family[Any], tuple[Iterable[str], ...]]] = []
        self.outbox_events = self._per_broker(
            declare.gauge("outbox_events", "Events not yet acknowledged.", "broker")
        )
        self.outbox_oldest = self._per_broker(
            declare.gauge(
                "outbox_oldest_event_timestamp_seconds",
                "Commit time of the oldest unacknowledged event; 0 = none.",
                "broker",
            ),
        )
        self.publish_latency = self._per_broker(
            declare.histogram(
                "event_publish_latency_seconds", "Commit to acknowledgement.", _DELIVERY, "broker"
            ),
        )
        self.publish_duration = self._per_broker(
            declare.histogram("publish_duration_seconds", "One publish call.", _CALL, "broker"),
        )
        self.publish_total = self._per_broker(
            declare.counter("publish_total", "Attempts to publish by answer.", "broker", "result"),
            PublishResult,
        )
        self.publish_retries = self._per_broker(
            declare.counter("publish_retries_total", "Events sent again.", "broker", "reason"),
            _RETRIED,
        )
        self.broker_connected = self._per_broker(
            declare.gauge("broker_connected", "1 while the session is up.", "broker")
        )
        self.broker_reconnects = self._per_broker(
            declare.counter("broker_reconnects_total", "Sessions opened again.", "broker")
        )
        self.circuit_state = self._per_broker(
            declare.gauge("circuit_state", "1 for the breaker's state, else 0.", "broker", "state"),
            CircuitState,
        )
        self.circuit_transitions = self._per_broker(
            declare.counter(
                "circuit_transitions_total", "Changes into a state.", "broker", "state"
            ),
            CircuitState,
        )
        self.parked_streams = self._per_broker(
            declare.gauge(
                "parked_streams",
                "Streams held back behind an event that was given up on.",
                "broker",
            ),
        )
        self.certificate_expiry = self._per_broker(
            declare.gauge(
                "certificate_expiry_timestamp_seconds",
                "When the first certificate of a Secret expires; 0 = none is used.",
                "broker",
                "certificate",
            ),
            Certificate,
        )
        self.dead_letters = self._per_broker(
            declare.counter(
                "dead_letters_total",
                "Events given up on, whose streams were parked.",
                "broker",
                "entity",
                "reason",
            ),
            entities,
            _GIVEN_UP,
        )

    def add(self, broker: str) -> None:
        """Series of a broker, at zero; nothing happens to one that has them.

        Beyond :data:`MAX_BROKERS` they are counted together as ``other``.
        """
        if broker not in self._names and len(self._names) < MAX_BROKERS:
            self._names.add(broker)
            for family, further in self._families:
                family.include(cross((broker,), *further))

    def remove(self, broker: str) -> None:
        """Every series of a broker is gone."""
        if broker in self._names:
            self._names.discard(broker)
            for family, _ in self._families:
                family.exclude(broker)

    def _per_broker(self, metric: M, *further: Iterable[str]) -> Family[M]:
        """A family by broker and ``further`` labels."""
        family: Family[M] = Family(metric, ())
        self._families.append((family, further))
        return family
