"""Appends, seen by the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Protocol

from sqlalchemy import Connection

from eatool.projections.tables import PROJECTION
from eatool.registry.service import Retried
from eatool.store.appender import Grouped
from eatool.store.batch import Encoded
from eatool.store.port import (
    Append,
    Appended,
    AppendRefused,
    ConditionFailed,
    EventIdTaken,
    KeyTaken,
    Outcome,
    ProjectionFailed,
    RecordedEvent,
    ReferenceGone,
    StaleEpoch,
    StillReferenced,
    StoreError,
    StoreUnavailable,
    WrongExpectedVersion,
)
from eatool.store.projection_port import InlineProjection
from eatool.telemetry.metrics import AppendResult, ConflictReason, LogMetrics

_REASONS: dict[type[AppendRefused], ConflictReason] = {
    WrongExpectedVersion: ConflictReason.WRONG_EXPECTED_VERSION,
    KeyTaken: ConflictReason.KEY_TAKEN,
    ReferenceGone: ConflictReason.REFERENCE_GONE,
    StillReferenced: ConflictReason.STILL_REFERENCED,
    ConditionFailed: ConflictReason.CONDITION_FAILED,
    EventIdTaken: ConflictReason.EVENT_ID_TAKEN,
}


class Appender(Protocol):
    """Anything that appends one transaction."""

    async def append(self, *appends: Append) -> Appended:
        """Append; raises ``StoreError``."""
        ...


class MeasuredAppender:
    """Counts and times what passes through to another appender."""

    def __init__(self, appender: Appender, metrics: LogMetrics, projection: str) -> None:
        """``projection`` is the one that is updated with each append."""
        self._appender = appender
        self._metrics = metrics
        self._projection = projection

    async def append(self, *appends: Append) -> Appended:
        """Append; raises what the other raises."""
        started = perf_counter()
        result = AppendResult.ERROR
        try:
            appended = await self._appender.append(*appends)
            result = AppendResult.REPEATED if appended.repeated else AppendResult.APPENDED
        except AppendRefused as refusal:
            result = AppendResult.REFUSED
            self._metrics.append_conflict(_REASONS[type(refusal)])
            raise
        except StaleEpoch:
            result = AppendResult.FENCED
            raise
        except StoreUnavailable:
            result = AppendResult.UNAVAILABLE
            self._metrics.store_up(up=False)
            raise
        except ProjectionFailed:
            self._metrics.projection_failed(self._projection)
            raise
        finally:
            self._metrics.append_finished(result, perf_counter() - started)
        self._metrics.store_up(up=True)
        if not appended.repeated:
            for event in appended.events:
                self._metrics.appended(event.ref.aggregate_type, event.type)
            self._metrics.store_head(appended.events[-1].position)
        return appended


class MeasuredProjection:
    """Times the commits that another projection applies."""

    def __init__(
        self, projection: InlineProjection, metrics: LogMetrics, name: str = PROJECTION
    ) -> None:
        self._projection = projection
        self._metrics = metrics
        self._name = name

    def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        """Apply; raises what the other raises."""
        started = perf_counter()
        self._projection.apply(connection, events)
        self._metrics.projection_applied(self._name, perf_counter() - started)


def count_retries(metrics: LogMetrics) -> Retried:
    """What a registry calls when it decides anew."""
    return lambda entity, refusal: metrics.append_retried(entity, _REASONS[type(refusal)])


class MeasuredCommits:
    """Counts the transactions of each commit that passes through to a store."""

    def __init__(self, store: Grouped, metrics: LogMetrics) -> None:
        self._store = store
        self._metrics = metrics

    def append_encoded(self, batch: Sequence[Encoded | StoreError]) -> list[Outcome]:
        """Commit; raises what the store raises."""
        outcomes = self._store.append_encoded(batch)
        self._metrics.append_batch(len(batch))
        return outcomes

    def tidy(self) -> None:
        """Pass the idle time on."""
        self._store.tidy()
