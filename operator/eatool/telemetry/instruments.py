"""The declaration of every series: name, meaning, labels, buckets; ``docs/metrics.md`` prints it.

Conventions: prefix ``eatool_``, base units, ``_total`` on counters, timestamps instead of ages
(``time() - x`` belongs into rules: it survives a stuck updater). No object, user, id or text is
ever a label.
"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry

from eatool import __version__
from eatool.telemetry.broker_instruments import BrokerInstruments
from eatool.telemetry.declaring import Declaration, Declarations
from eatool.telemetry.labels import Family, Labels, cross, pairs
from eatool.telemetry.metrics import (
    AppendResult,
    ConflictReason,
    ProjectionState,
    ReconcileResult,
)
from eatool.telemetry.rollout_instruments import RolloutInstruments

#: Handlers and appends: from a memory hit to a database in trouble.
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0)
#: From accepted to recorded; 10 s is the objective.
_SLOW = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

#: Values of ``state`` of the database pool.
CONNECTION_STATES = ("used", "idle")

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


class Instruments:
    """Every metric of the process, registered once in ``registry``."""

    def __init__(self, registry: CollectorRegistry, labels: Labels) -> None:
        """Register everything and give each known label combination its zero."""
        self._declare = Declarations(registry)
        self._reconciling(labels)
        self._log(labels)
        self.brokers = BrokerInstruments(self._declare, labels.entities)
        for broker in labels.brokers:
            self.brokers.add(broker)
        self.rollout = RolloutInstruments(self._declare)
        self._http(labels)
        release = (__version__, platform.python_version(), _installed("kopf"))
        self._declare.gauge(
            "build_info", "The running release; always 1.", "version", "python", "kopf"
        ).labels(*release).set(1)

    @property
    def declared(self) -> list[Declaration]:
        """Every metric, in the order of the documentation."""
        return self._declare.made

    def _reconciling(self, labels: Labels) -> None:
        entity = list(cross(labels.entities))
        self.reconcile_total = Family(
            self._declare.counter(
                "reconcile_total", "Handler runs by outcome.", "entity", "result"
            ),
            cross(labels.entities, ReconcileResult),
        )
        self.reconcile_duration = Family(
            self._declare.histogram(
                "reconcile_duration_seconds", "Time of one handler run.", _FAST, "entity"
            ),
            entity,
        )
        self.change_to_event_delay = Family(
            self._declare.histogram(
                "change_to_event_delay_seconds",
                "API server accepted the change to events committed (grain of the start: 1 s).",
                _SLOW,
                "entity",
            ),
            entity,
        )
        self.queue_depth = Family(
            self._declare.gauge("queue_depth", "Objects that wait for a worker.", "entity"), entity
        )
        self.active_workers = Family(
            self._declare.gauge("active_workers", "Objects being reconciled now.", "entity"), entity
        )
        self.max_concurrent_reconciles = self._declare.gauge(
            "max_concurrent_reconciles", "Upper bound of the sum of active_workers."
        )
        self.watch_last_event = Family(
            self._declare.gauge(
                "watch_last_event_timestamp_seconds",
                "When the watch last delivered anything; 0 = nothing yet.",
                "entity",
            ),
            entity,
        )
        self.watch_missed = Family(
            self._declare.counter(
                "watch_missed_total",
                "Changes found by the resync that the watch never delivered.",
                "entity",
            ),
            entity,
        )
        self.pending_references = Family(
            self._declare.gauge(
                "pending_references", "Objects that wait for a target.", "entity", "referenced"
            ),
            pairs(labels.references),
        )
        self.coalesced_generations = Family(
            self._declare.counter(
                "coalesced_generations_total",
                "Generations replaced before the operator saw them; they have no events.",
                "entity",
            ),
            entity,
        )
        self.api_requests = Family(
            self._declare.counter(
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
            self._declare.counter(
                "events_appended_total", "Domain events.", "entity", "event_type"
            ),
            pairs(labels.events),
        )
        self.append_duration = Family(
            self._declare.histogram(
                "append_duration_seconds",
                "One transaction, from hand-over to answer, queueing included.",
                _FAST,
                "result",
            ),
            cross(AppendResult),
        )
        self.append_batch_size = self._declare.histogram(
            "append_batch_size", "Transactions in one commit.", _BATCH
        )
        self.append_conflicts = Family(
            self._declare.counter(
                "append_conflicts_total", "Transactions refused and decided anew.", "reason"
            ),
            cross(ConflictReason),
        )
        self.append_retries = Family(
            self._declare.counter(
                "append_retries_total", "Refused changes decided anew.", "entity", "reason"
            ),
            cross(labels.entities, ConflictReason),
        )
        self._store()
        self._projections(labels)

    def _store(self) -> None:
        self.store_head = self._declare.gauge(
            "store_head_position",
            "Newest position in the event log; positions have no gaps: the number of events.",
        )
        self.store_up = self._declare.gauge(
            "store_up", "1 when the last access to the database succeeded."
        )
        self.store_size = self._declare.gauge(
            "store_size_bytes", "Size of all tables and indexes; of SQLite, of its files."
        )
        self.db_connections = Family(
            self._declare.gauge(
                "db_connections", "Connections of the pool of this process.", "state"
            ),
            cross(CONNECTION_STATES),
        )
        self.db_connections_limit = self._declare.gauge(
            "db_connections_limit", "Connections that the pool may open; beyond it callers wait."
        )

    def _projections(self, labels: Labels) -> None:
        projection = list(cross(labels.projections))
        self.projection_position = Family(
            self._declare.gauge(
                "projection_position", "Newest position that the projection has.", "projection"
            ),
            projection,
        )
        self.projection_lag = Family(
            self._declare.gauge(
                "projection_lag_events", "Head of the log minus position.", "projection"
            ),
            projection,
        )
        self.projection_oldest = Family(
            self._declare.gauge(
                "projection_oldest_unapplied_timestamp_seconds",
                "Commit time of the oldest event that the projection lacks; 0 = none.",
                "projection",
            ),
            projection,
        )
        self.projection_state = Family(
            self._declare.gauge(
                "projection_state", "1 for how the projection stands.", "projection", "state"
            ),
            cross(labels.projections, ProjectionState),
        )
        self.projection_apply_duration = Family(
            self._declare.histogram(
                "projection_apply_duration_seconds",
                "Applying the events of one commit.",
                _FAST,
                "projection",
            ),
            projection,
        )
        self.projection_errors = Family(
            self._declare.counter(
                "projection_errors_total",
                "Commits that a projection failed on. Inline the event was not recorded; behind "
                "the log it is tried again.",
                "projection",
            ),
            projection,
        )

    def _http(self, labels: Labels) -> None:
        self.http_requests = Family(
            self._declare.counter(
                "http_requests_total", "Requests by path template.", "route", "method", "code"
            ),
            cross(labels.routes, ("GET",), _HTTP_CODES),
            rare=_RARE_HTTP,
        )
        self.http_duration = Family(
            self._declare.histogram(
                "http_request_duration_seconds", "Time to answer.", _FAST, "route", "method"
            ),
            cross(labels.routes, ("GET",)),
            rare=_RARE_HTTP[:2],
        )


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"
