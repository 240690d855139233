"""The metrics as Prometheus series in a registry of their own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime

from prometheus_client import CollectorRegistry, disable_created_metrics

from eatool.publishing.breaker import CircuitState
from eatool.publishing.certificates import Certificate
from eatool.telemetry.instruments import CONNECTION_STATES, Instruments
from eatool.telemetry.labels import Labels
from eatool.telemetry.metrics import (
    AppendResult,
    ConflictReason,
    ProjectionState,
    PublishResult,
    ReconcileResult,
)
from eatool.telemetry.rollout import RolloutSeries


class PrometheusMetrics:
    """A :class:`~eatool.telemetry.metrics.Metrics` that ``/metrics`` shows.

    Safe to call from any thread. Label values outside ``labels`` are counted as ``other``.
    """

    def __init__(self, labels: Labels) -> None:
        """Build the registry; no other object in the process is touched."""
        # Without it every counter has a twin series that nobody reads. The library types all of
        # its functions but this one.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=True)
        self.instruments = Instruments(self.registry, labels)
        #: Rollouts of kinds, their parity and their commands.
        self.rollout = RolloutSeries(self.instruments.rollout)
        self._circuits: dict[str, CircuitState] = {}
        self._head = 0
        for broker in labels.brokers:
            self.circuit(broker, CircuitState.CLOSED)

    def reconciled(self, entity: str, result: ReconcileResult, seconds: float) -> None:
        """One handler run ended after ``seconds``."""
        self.instruments.reconcile_total(entity, result).inc()
        self.instruments.reconcile_duration(entity).observe(seconds)

    def reconciling(self, entity: str) -> AbstractContextManager[object]:
        """Count a worker as active for the length of the block."""
        return self.instruments.active_workers(entity).track_inprogress()

    def concurrency_limit(self, workers: int) -> None:
        """At most this many objects are reconciled at the same time."""
        self.instruments.max_concurrent_reconciles.set(workers)

    def queued(self, entity: str, depth: int) -> None:
        """``depth`` objects wait for a worker now."""
        self.instruments.queue_depth(entity).set(depth)

    def change_recorded(self, entity: str, delay: float) -> None:
        """A change was committed ``delay`` seconds after the API server accepted it."""
        self.instruments.change_to_event_delay(entity).observe(max(delay, 0.0))

    def generations_coalesced(self, entity: str, skipped: int) -> None:
        """``skipped`` generations were replaced before the operator saw them."""
        self.instruments.coalesced_generations(entity).inc(skipped)

    def references_pending(self, entity: str, referenced: str, objects: int) -> None:
        """``objects`` of ``entity`` wait now for a target of type ``referenced``."""
        self.instruments.pending_references(entity, referenced).set(objects)

    def watch_event(self, entity: str, at: float) -> None:
        """The watch delivered something at Unix time ``at``."""
        self.instruments.watch_last_event(entity).set(at)

    def watch_missed(self, entity: str, objects: int) -> None:
        """The resync found ``objects`` changes that the watch had not delivered."""
        self.instruments.watch_missed(entity).inc(objects)

    def api_request(self, verb: str, resource: str, code: int) -> None:
        """The API server answered; ``code`` 0 = no answer at all."""
        self.instruments.api_requests(verb, resource, str(code) if code else "none").inc()

    def appended(self, entity: str, event_type: str) -> None:
        """One event was committed; ``event_type`` is versioned."""
        self.instruments.events_appended(entity, event_type).inc()

    def append_finished(self, result: AppendResult, seconds: float) -> None:
        """One transaction got its answer, ``seconds`` after it was handed over."""
        self.instruments.append_duration(result).observe(seconds)

    def append_batch(self, transactions: int) -> None:
        """One commit carried this many transactions."""
        self.instruments.append_batch_size.observe(transactions)

    def append_conflict(self, reason: ConflictReason) -> None:
        """A transaction was refused; the caller decides anew."""
        self.instruments.append_conflicts(reason).inc()

    def store_head(self, position: int) -> None:
        """Newest position this process knows of."""
        # Samples and commits report it side by side, and the later report may be the older news.
        self._head = max(self._head, position)
        self.instruments.store_head.set(self._head)

    def append_retried(self, entity: str, reason: ConflictReason) -> None:
        """A refused change of ``entity`` is decided anew."""
        self.instruments.append_retries(entity, reason).inc()

    def store_size(self, size: int) -> None:
        """The database holds so many bytes."""
        self.instruments.store_size.set(size)

    def db_connections(self, used: int, idle: int, limit: int) -> None:
        """Connections of this process's pool; more than ``limit`` have to wait."""
        for state, connections in zip(CONNECTION_STATES, (used, idle), strict=True):
            self.instruments.db_connections(state).set(connections)
        self.instruments.db_connections_limit.set(limit)

    def store_up(self, up: bool) -> None:
        """Whether the last access to the database succeeded."""
        self.instruments.store_up.set(up)

    def projection_at(
        self, projection: str, position: int, lag_events: int, oldest: float | None
    ) -> None:
        """A projection has everything up to ``position``; ``oldest`` is what it lacks first."""
        self.instruments.projection_position(projection).set(position)
        self.instruments.projection_lag(projection).set(lag_events)
        self.instruments.projection_oldest(projection).set(oldest or 0)

    def projection_state(self, projection: str, state: ProjectionState) -> None:
        """A projection stands so now."""
        for candidate in ProjectionState:
            self.instruments.projection_state(projection, candidate).set(candidate is state)

    def projection_applied(self, projection: str, seconds: float) -> None:
        """A projection has applied the events of one commit."""
        self.instruments.projection_apply_duration(projection).observe(seconds)

    def projection_failed(self, projection: str) -> None:
        """A projection could not apply an event; its transaction was rolled back."""
        self.instruments.projection_errors(projection).inc()

    def broker_added(self, broker: str) -> None:
        """``broker`` has series of its own from now on, at zero; nothing happens to known ones."""
        self.instruments.brokers.add(broker)
        if broker not in self._circuits:
            self.circuit(broker, CircuitState.CLOSED)

    def broker_removed(self, broker: str) -> None:
        """``broker`` is no more, and nor are its series."""
        self.instruments.brokers.remove(broker)
        self._circuits.pop(broker, None)

    def outbox(self, broker: str, events: int, oldest: float | None) -> None:
        """``events`` are unpublished now; ``oldest`` is the Unix commit time of the first."""
        self.instruments.brokers.outbox_events(broker).set(events)
        self.instruments.brokers.outbox_oldest(broker).set(oldest or 0)

    def published(self, broker: str, since_recorded: float, call: float) -> None:
        """An event was acknowledged: seconds since its commit, and since it was handed over."""
        self.instruments.brokers.publish_total(broker, PublishResult.ACKNOWLEDGED).inc()
        self.instruments.brokers.publish_duration(broker).observe(call)
        self.instruments.brokers.publish_latency(broker).observe(max(since_recorded, 0.0))

    def publish_failed(self, broker: str, result: PublishResult) -> None:
        """An attempt failed; unless ``result`` is permanent, the event is sent again."""
        self.instruments.brokers.publish_total(broker, result).inc()
        if result is not PublishResult.PERMANENT:
            self.instruments.brokers.publish_retries(broker, result).inc()

    def dead_lettered(self, broker: str, entity: str, result: PublishResult) -> None:
        """An event was given up on and its stream parked; ``result`` is that of the last try."""
        self.instruments.brokers.dead_letters(broker, entity, result).inc()

    def broker_connected(self, broker: str, connected: bool) -> None:
        """The session is up or down."""
        self.instruments.brokers.broker_connected(broker).set(connected)

    def broker_reconnected(self, broker: str) -> None:
        """The session was opened again after it had been lost."""
        self.instruments.brokers.broker_reconnects(broker).inc()

    def circuit(self, broker: str, state: CircuitState) -> None:
        """The broker's breaker is in ``state`` now; a change of state counts as a transition."""
        previous = self._circuits.get(broker)
        if state is previous:
            return
        self._circuits[broker] = state
        for candidate in CircuitState:
            self.instruments.brokers.circuit_state(broker, candidate).set(candidate is state)
        if previous is not None:
            self.instruments.brokers.circuit_transitions(broker, state).inc()

    def parked_streams(self, broker: str, streams: int) -> None:
        """``streams`` are parked now."""
        self.instruments.brokers.parked_streams(broker).set(streams)

    def certificates(self, broker: str, expiry: Mapping[Certificate, datetime]) -> None:
        """The certificates that connections to ``broker`` use; those it lacks are not used."""
        for certificate in Certificate:
            at = expiry.get(certificate)
            series = self.instruments.brokers.certificate_expiry(broker, certificate)
            series.set(at.timestamp() if at else 0)

    def http_request(self, route: str, method: str, code: int, seconds: float) -> None:
        """One request was answered; ``route`` is the path template."""
        self.instruments.http_requests(route, method, str(code)).inc()
        self.instruments.http_duration(route, method).observe(seconds)
