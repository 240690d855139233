"""The declaration of every series: name, meaning, labels, buckets; ``docs/metrics.md`` prints it.

Conventions: prefix ``eatool_``, base units, ``_total`` on counters, timestamps instead of ages
(``time() - x`` belongs into rules: it survives a stuck updater). No object, user, id or text is
ever a label.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from eatool import __version__
from eatool.publishing.breaker import CircuitState
from eatool.telemetry.labels import Family, Labels, cross, pairs
from eatool.telemetry.metrics import (
    AppendResult,
    ConflictReason,
    PublishResult,
    ReconcileResult,
)

_PREFIX = "eatool"

M = TypeVar("M", bound=MetricWrapperBase)

#: Brokers with series of their own; about a hundred series each.
MAX_BROKERS = 50

#: Handlers and appends: from a memory hit to a database in trouble.
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0)
#: From accepted to recorded, from recorded to acknowledged; 10 s and 30 s are objectives.
_SLOW = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

#: Start at zero, so that the first failure is an increase.
_API_CODES = ("200", "404", "409", "422", "429", "500", "none")
_LIST_CODES = ("200", "410", "429", "500", "none")
_CREATE_CODES = ("201", "403", "404", "429", "500", "none")
_HTTP_CODES = ("200", "500", "503")
#: Allowed, but only once they occur.
_RARE_API = (
    ("get", "delete"),
    ("secrets",),
    ("400", "401", "413", "502", "503", "504"),
)
_RARE_HTTP = (
    (),
    ("HEAD", "POST", "PUT", "PATCH", "DELETE"),
    ("201", "202", "204", "304", "400", "401", "403", "404", "405", "409", "422", "429"),
)
_GIVEN_UP = (PublishResult.PERMANENT, PublishResult.REFUSED)
_RETRIED = tuple(sorted({*PublishResult} - {PublishResult.ACKNOWLEDGED, PublishResult.PERMANENT}))


@dataclass(frozen=True, slots=True)
class Declaration:
    """One metric as users know it; ``type`` is counter, gauge or histogram."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


class Instruments:
    """Every metric of the process, registered once in ``registry``."""

    def __init__(self, registry: CollectorRegistry, labels: Labels) -> None:
        """Register everything and give each known label combination its zero."""
        self._registry = registry
        self.declared: list[Declaration] = []
        self._brokers: set[str] = set()
        self._broker_families: list[tuple[Family[Any], tuple[Iterable[str], ...]]] = []
        self._reconciling(labels)
        self._log(labels)
        self._publishing(labels)
        for broker in labels.brokers:
            self.add_broker(broker)
        self._http(labels)
        release = (__version__, platform.python_version(), _installed("kopf"))
        self._gauge(
            "build_info", "The running release; always 1.", "version", "python", "kopf"
        ).labels(*release).set(1)

    def _reconciling(self, labels: Labels) -> None:
        entity = list(cross(labels.entities))
        self.reconcile_total = Family(
            self._counter("reconcile_total", "Handler runs by outcome.", "entity", "result"),
            cross(labels.entities, ReconcileResult),
        )
        self.reconcile_duration = Family(
            self._histogram(
                "reconcile_duration_seconds", "Time of one handler run.", _FAST, "entity"
            ),
            entity,
        )
        self.change_to_event_delay = Family(
            self._histogram(
                "change_to_event_delay_seconds",
                "API server accepted the change to events committed (grain of the start: 1 s).",
                _SLOW,
                "entity",
            ),
            entity,
        )
        self.queue_depth = Family(
            self._gauge("queue_depth", "Objects that wait for a worker.", "entity"), entity
        )
        self.active_workers = Family(
            self._gauge("active_workers", "Objects being reconciled now.", "entity"), entity
        )
        self.max_concurrent_reconciles = self._gauge(
            "max_concurrent_reconciles", "Upper bound of the sum of active_workers."
        )
        self.watch_last_event = Family(
            self._gauge(
                "watch_last_event_timestamp_seconds",
                "When the watch last delivered anything; 0 = nothing yet.",
                "entity",
            ),
            entity,
        )
        self.watch_missed = Family(
            self._counter(
                "watch_missed_total",
                "Changes found by the resync that the watch never delivered.",
                "entity",
            ),
            entity,
        )
        self.pending_references = Family(
            self._gauge(
                "pending_references", "Objects that wait for a target.", "entity", "referenced"
            ),
            pairs(labels.references),
        )
        self.coalesced_generations = Family(
            self._counter(
                "coalesced_generations_total",
                "Generations replaced before the operator saw them; they have no events.",
                "entity",
            ),
            entity,
        )
        self.api_requests = Family(
            self._counter(
                "api_requests_total",
                "Calls of the Kubernetes API beside the watches; code none = no answer.",
                "verb",
                "resource",
                "code",
            ),
            [
                *cross(("patch",), labels.resources, _API_CODES),
                *cross(
                    ("list",),
                    (resource for resource in labels.resources if "/" not in resource),
                    _LIST_CODES,
                ),
                *cross(("create",), ("events",), _CREATE_CODES),
            ],
            rare=_RARE_API,
        )

    def _log(self, labels: Labels) -> None:
        self.events_appended = Family(
            self._counter("events_appended_total", "Domain events.", "entity", "event_type"),
            pairs(labels.events),
        )
        self.append_duration = Family(
            self._histogram(
                "append_duration_seconds",
                "One transaction, from hand-over to answer, queueing included.",
                _FAST,
                "result",
            ),
            cross(AppendResult),
        )
        self.append_batch_size = self._histogram(
            "append_batch_size", "Transactions in one commit.", _BATCH
        )
        self.append_conflicts = Family(
            self._counter(
                "append_conflicts_total", "Transactions refused and decided anew.", "reason"
            ),
            cross(ConflictReason),
        )
        self.store_head = self._gauge("store_head_position", "Newest position in the event log.")
        self.store_up = self._gauge("store_up", "1 when the last access to the database succeeded.")
        projection = list(cross(labels.projections))
        self.projection_position = Family(
            self._gauge(
                "projection_position", "Newest position that the projection has.", "projection"
            ),
            projection,
        )
        self.projection_lag = Family(
            self._gauge("projection_lag_events", "Head of the log minus position.", "projection"),
            projection,
        )
        self.projection_errors = Family(
            self._counter(
                "projection_errors_total",
                "Events that the projection failed on; they were not recorded.",
                "projection",
            ),
            projection,
        )

    def _publishing(self, labels: Labels) -> None:
        self.outbox_events = self._per_broker(
            self._gauge("outbox_events", "Events not yet acknowledged.", "broker")
        )
        self.outbox_oldest = self._per_broker(
            self._gauge(
                "outbox_oldest_event_timestamp_seconds",
                "Commit time of the oldest unacknowledged event; 0 = none.",
                "broker",
            ),
        )
        self.publish_latency = self._per_broker(
            self._histogram(
                "event_publish_latency_seconds", "Commit to acknowledgement.", _SLOW, "broker"
            ),
        )
        self.publish_duration = self._per_broker(
            self._histogram("publish_duration_seconds", "One publish call.", _FAST, "broker"),
        )
        self.publish_total = self._per_broker(
            self._counter("publish_total", "Attempts to publish by answer.", "broker", "result"),
            PublishResult,
        )
        self.publish_retries = self._per_broker(
            self._counter("publish_retries_total", "Events sent again.", "broker", "reason"),
            _RETRIED,
        )
        self.broker_connected = self._per_broker(
            self._gauge("broker_connected", "1 while the session is up.", "broker")
        )
        self.broker_reconnects = self._per_broker(
            self._counter("broker_reconnects_total", "Sessions opened again.", "broker")
        )
        self.circuit_state = self._per_broker(
            self._gauge("circuit_state", "1 for the breaker's state, else 0.", "broker", "state"),
            CircuitState,
        )
        self.circuit_transitions = self._per_broker(
            self._counter("circuit_transitions_total", "Changes into a state.", "broker", "state"),
            CircuitState,
        )
        self.parked_streams = self._per_broker(
            self._gauge(
                "parked_streams",
                "Streams held back behind an event that was given up on.",
                "broker",
            ),
        )
        self.dead_letters = self._per_broker(
            self._counter(
                "dead_letters_total",
                "Events given up on, whose streams were parked.",
                "broker",
                "entity",
                "reason",
            ),
            labels.entities,
            _GIVEN_UP,
        )

    def add_broker(self, broker: str) -> None:
        """Series of a broker, at zero; nothing happens to one that has them.

        Beyond :data:`MAX_BROKERS` they are counted together as ``other``.
        """
        if broker not in self._brokers and len(self._brokers) < MAX_BROKERS:
            self._brokers.add(broker)
            for family, further in self._broker_families:
                family.include(cross((broker,), *further))

    def remove_broker(self, broker: str) -> None:
        """Every series of a broker is gone."""
        if broker in self._brokers:
            self._brokers.discard(broker)
            for family, _ in self._broker_families:
                family.exclude(broker)

    def _per_broker(self, metric: M, *further: Iterable[str]) -> Family[M]:
        """A family by broker and ``further`` labels."""
        family: Family[M] = Family(metric, ())
        self._broker_families.append((family, further))
        return family

    def _http(self, labels: Labels) -> None:
        self.http_requests = Family(
            self._counter(
                "http_requests_total", "Requests by path template.", "route", "method", "code"
            ),
            cross(labels.routes, ("GET",), _HTTP_CODES),
            rare=_RARE_HTTP,
        )
        self.http_duration = Family(
            self._histogram(
                "http_request_duration_seconds", "Time to answer.", _FAST, "route", "method"
            ),
            cross(labels.routes, ("GET",)),
            rare=_RARE_HTTP[:2],
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self._declare(name, "counter", labels, text)
        return Counter(name, text, labels, namespace=_PREFIX, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self._declare(name, "gauge", labels, text)
        return Gauge(name, text, labels, namespace=_PREFIX, registry=self._registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        self._declare(name, "histogram", labels, text)
        return Histogram(
            name, text, labels, namespace=_PREFIX, registry=self._registry, buckets=buckets
        )

    def _declare(self, name: str, kind: str, labels: tuple[str, ...], text: str) -> None:
        self.declared.append(Declaration(f"{_PREFIX}_{name}", kind, labels, text))


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"
