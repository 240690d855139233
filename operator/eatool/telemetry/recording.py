"""Appends, seen by the metrics."""

from __future__ import annotations

from time import perf_counter
from typing import Protocol

from eatool.store.port import (
    Append,
    Appended,
    AppendRefused,
    ConditionFailed,
    EventIdTaken,
    KeyTaken,
    ReferenceGone,
    StillReferenced,
    StoreUnavailable,
    WrongExpectedVersion,
)
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

    def __init__(self, appender: Appender, metrics: LogMetrics) -> None:
        self._appender = appender
        self._metrics = metrics

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
        except StoreUnavailable:
            result = AppendResult.UNAVAILABLE
            self._metrics.store_up(up=False)
            raise
        finally:
            self._metrics.append_finished(result, perf_counter() - started)
        self._metrics.store_up(up=True)
        if not appended.repeated:
            for event in appended.events:
                self._metrics.appended(event.ref.aggregate_type, event.type)
            self._metrics.store_head(appended.events[-1].position)
        return appended
