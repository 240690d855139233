"""What the operator reports about itself, as the code that reports it sees it.

Callers depend on the narrow protocol of their own room; :class:`NullMetrics` stands in where
nobody looks. ``prometheus.py`` turns the calls into series; ``docs/metrics.md`` lists them.

``entity`` is always an aggregate type, never the name of an object.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from eatool.publishing.breaker import CircuitState
from eatool.publishing.certificates import Certificate


class ReconcileResult(StrEnum):
    """How one look at one object ended."""

    #: Events were recorded.
    SUCCESS = "success"
    #: The stream already said what the spec says.
    UNCHANGED = "unchanged"
    #: A hard reference is not there yet.
    WAITING = "waiting"
    #: Refused until somebody changes something.
    REJECTED = "rejected"
    #: A fault of the surroundings; comes again with backoff.
    RETRY = "retry"
    #: A bug.
    ERROR = "error"


class AppendResult(StrEnum):
    """What the log said to one transaction."""

    APPENDED = "appended"
    REPEATED = "repeated"
    REFUSED = "refused"
    #: Decided under a phase that has ended.
    FENCED = "fenced"
    UNAVAILABLE = "unavailable"
    ERROR = "error"


class ConflictReason(StrEnum):
    """Why a transaction was refused: one member for each ``store.port.AppendRefused``."""

    WRONG_EXPECTED_VERSION = "wrong_expected_version"
    KEY_TAKEN = "key_taken"
    REFERENCE_GONE = "reference_gone"
    STILL_REFERENCED = "still_referenced"
    CONDITION_FAILED = "condition_failed"
    EVENT_ID_TAKEN = "event_id_taken"


class ProjectionState(StrEnum):
    """How the tables of a projection stand to the log."""

    #: They have every event.
    LIVE = "live"
    #: Some events are not applied yet, and are being applied.
    CATCHING_UP = "catching_up"
    #: Applying them fails.
    FAILED = "failed"
    #: They lack events that nobody will apply: log and tables were restored apart.
    STOPPED = "stopped"


class PublishResult(StrEnum):
    """How one attempt to publish one event ended."""

    ACKNOWLEDGED = "acknowledged"
    #: The session broke while events were in flight; counted once for all of them.
    SESSION = "session"
    #: The broker's fault: time-out, back-pressure.
    TRANSIENT = "transient"
    #: The broker refused this event; some attempts are left.
    REFUSED = "refused"
    #: This event will not pass as it is.
    PERMANENT = "permanent"


class ReconcileMetrics(Protocol):
    """Watching and reconciling."""

    def reconciled(self, entity: str, result: ReconcileResult, seconds: float) -> None:
        """One handler run ended after ``seconds``."""

    def reconciling(self, entity: str) -> AbstractContextManager[object]:
        """Count a worker as active for the length of the block."""
        ...

    def concurrency_limit(self, workers: int) -> None:
        """At most this many objects are reconciled at the same time."""

    def queued(self, entity: str, depth: int) -> None:
        """``depth`` objects wait for a worker now."""

    def change_recorded(self, entity: str, delay: float) -> None:
        """A change was committed ``delay`` seconds after the API server accepted it."""

    def generations_coalesced(self, entity: str, skipped: int) -> None:
        """``skipped`` generations were replaced before the operator saw them."""

    def references_pending(self, entity: str, referenced: str, objects: int) -> None:
        """``objects`` of ``entity`` wait now for a target of type ``referenced``."""

    def watch_event(self, entity: str, at: float) -> None:
        """The watch delivered something at Unix time ``at``."""

    def watch_missed(self, entity: str, objects: int) -> None:
        """The resync found ``objects`` changes that the watch had not delivered."""

    def api_request(self, verb: str, resource: str, code: int) -> None:
        """The API server answered; ``code`` 0 = no answer at all."""


class LogMetrics(Protocol):
    """The event log and its projections."""

    def appended(self, entity: str, event_type: str) -> None:
        """One event was committed; ``event_type`` is versioned."""

    def append_finished(self, result: AppendResult, seconds: float) -> None:
        """One transaction got its answer, ``seconds`` after it was handed over."""

    def append_batch(self, transactions: int) -> None:
        """One commit carried this many transactions."""

    def append_conflict(self, reason: ConflictReason) -> None:
        """A transaction was refused; the caller decides anew."""

    def append_retried(self, entity: str, reason: ConflictReason) -> None:
        """A refused change of ``entity`` is decided anew."""

    def store_head(self, position: int) -> None:
        """Newest position this process knows of."""

    def store_size(self, size: int) -> None:
        """The database holds so many bytes."""

    def db_connections(self, used: int, idle: int, limit: int) -> None:
        """Connections of this process's pool; more than ``limit`` have to wait."""

    def store_up(self, up: bool) -> None:
        """Whether the last access to the database succeeded."""

    def projection_at(
        self, projection: str, position: int, lag_events: int, oldest: float | None
    ) -> None:
        """A projection has everything up to ``position``.

        ``oldest`` is the Unix commit time of the first event that it lacks; ``None``: it has all.
        """

    def projection_state(self, projection: str, state: ProjectionState) -> None:
        """A projection stands so now."""

    def projection_applied(self, projection: str, seconds: float) -> None:
        """A projection has applied the events of one commit."""

    def projection_failed(self, projection: str) -> None:
        """A projection could not apply an event; its transaction was rolled back."""


class PublishingMetrics(Protocol):
    """The relays and their brokers, which come and go while the process runs."""

    def broker_added(self, broker: str) -> None:
        """``broker`` has series of its own from now on, at zero; nothing happens to known ones."""

    def broker_removed(self, broker: str) -> None:
        """``broker`` is no more, and nor are its series."""

    def outbox(self, broker: str, events: int, oldest: float | None) -> None:
        """``events`` are unpublished now; ``oldest`` is the Unix commit time of the first."""

    def published(self, broker: str, since_recorded: float, call: float) -> None:
        """An event was acknowledged: seconds since its commit, and since it was handed over."""

    def publish_failed(self, broker: str, result: PublishResult) -> None:
        """An attempt failed; unless ``result`` is permanent, the event is sent again."""

    def dead_lettered(self, broker: str, entity: str, result: PublishResult) -> None:
        """An event was given up on and its stream parked; ``result`` is that of the last try."""

    def broker_connected(self, broker: str, connected: bool) -> None:
        """The session is up or down."""

    def broker_reconnected(self, broker: str) -> None:
        """The session was opened again after it had been lost."""

    def circuit(self, broker: str, state: CircuitState) -> None:
        """The broker's breaker is in ``state`` now; a change of state counts as a transition."""

    def parked_streams(self, broker: str, streams: int) -> None:
        """``streams`` are parked now."""

    def certificates(self, broker: str, expiry: Mapping[Certificate, datetime]) -> None:
        """The certificates that connections to ``broker`` use; those it lacks are not used."""


class HttpMetrics(Protocol):
    """The HTTP API."""

    def http_request(self, route: str, method: str, code: int, seconds: float) -> None:
        """One request was answered; ``route`` is the path template."""


class Metrics(ReconcileMetrics, LogMetrics, PublishingMetrics, HttpMetrics, Protocol):
    """All of it: what the composition root builds and hands out in parts."""


def _ignore(*_: object, **__: object) -> None:
    """Accept any call."""


class NullMetrics:
    """Counts nothing; a :class:`Metrics` for tests and for tools without a scraper."""

    reconciled = concurrency_limit = queued = change_recorded = staticmethod(_ignore)
    generations_coalesced = references_pending = staticmethod(_ignore)
    watch_event = watch_missed = api_request = staticmethod(_ignore)
    appended = append_finished = append_batch = append_conflict = staticmethod(_ignore)
    append_retried = store_head = store_up = store_size = db_connections = staticmethod(_ignore)
    projection_at = projection_state = staticmethod(_ignore)
    projection_applied = projection_failed = staticmethod(_ignore)
    broker_added = broker_removed = staticmethod(_ignore)
    outbox = published = publish_failed = dead_lettered = staticmethod(_ignore)
    broker_connected = broker_reconnected = circuit = staticmethod(_ignore)
    parked_streams = certificates = http_request = staticmethod(_ignore)

    def reconciling(self, entity: str) -> AbstractContextManager[None]:
        """Count nobody."""
        return nullcontext()
