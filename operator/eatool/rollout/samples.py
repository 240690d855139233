"""Figures of the last day in bounded memory: a ring of ten-second slots per metric and kind."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from eatool.rollout.declared import LONGEST_WINDOW, Metric
from eatool.store.clock import Clock, utc_now

#: Width of a slot; a window is counted in whole slots, so it is up to this much longer.
SLOT: Final = timedelta(seconds=10)
#: Values within a factor of this are not told apart in a quantile, which is never too small.
PRECISION: Final = 1.05

_LOG_PRECISION = math.log(PRECISION)
#: Quantiles tell nothing apart below this many seconds.
_SMALLEST = 0.001


class Reading(NamedTuple):
    """A figure and the number of observations behind it."""

    value: float
    samples: int


class Over(Enum):
    """How the observations of a window become one figure."""

    WORST_HIGH = "the highest"
    LATEST = "the latest"
    SHARE = "mean"
    P99 = "99th percentile"


#: How each metric is read. Figures of state count as what they were at worst in the window; a
#: share is fed with 1 for what failed and 0 for what did not.
READ_AS: Final[Mapping[Metric, Over]] = MappingProxyType(
    {
        "ParityMismatches": Over.WORST_HIGH,
        "ParityCoverage": Over.LATEST,
        "RebuildDifferences": Over.LATEST,
        "ProjectionLagSeconds": Over.WORST_HIGH,
        "ProjectionLagEvents": Over.WORST_HIGH,
        "PublishLagSecondsP99": Over.P99,
        "ParkedStreams": Over.WORST_HIGH,
        "ErrorRatio": Over.SHARE,
        "AppendConflictRatio": Over.SHARE,
        "CommandLatencySecondsP99": Over.P99,
    }
)


@dataclass(slots=True)
class _Slot:
    start: datetime
    count: int = 0
    total: float = 0.0
    highest: float = -math.inf
    latest: float = math.nan
    #: Observations by the power of :data:`PRECISION` that is at least as large.
    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, value: float, count: int, *, spread: bool) -> None:
        self.count += count
        self.total += value * count
        self.highest = max(self.highest, value)
        self.latest = value
        if spread:
            bucket = math.ceil(math.log(max(value, _SMALLEST)) / _LOG_PRECISION)
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count


class Samples:
    """Observations of all metrics; thread-safe. What is older than a day is forgotten.

    A restarted process has none: missing data, which holds a promotion but fails nothing.
    """

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rings: dict[tuple[Metric, str], deque[_Slot]] = {}
        self._sources: dict[Metric, Callable[[str, timedelta], Reading | None]] = {}

    def observe(self, metric: Metric, aggregate_type: str, value: float, count: int = 1) -> None:
        """Record ``count`` observations of ``value``, now."""
        now = self._clock()
        with self._lock:
            ring = self._rings.setdefault((metric, aggregate_type), deque())
            if not ring or now - ring[-1].start >= SLOT:
                ring.append(_Slot(now))
            while now - ring[0].start > LONGEST_WINDOW + SLOT:
                ring.popleft()
            ring[-1].add(value, count, spread=READ_AS[metric] is Over.P99)

    def supply(self, metric: Metric, source: Callable[[str, timedelta], Reading | None]) -> None:
        """Ask ``source(aggregate_type, window)`` for this metric instead of own observations."""
        self._sources[metric] = source

    def read(self, metric: Metric, aggregate_type: str, window: timedelta) -> Reading | None:
        """The figure over the last ``window``; ``None`` without a single observation."""
        if (source := self._sources.get(metric)) is not None:
            return source(aggregate_type, window)
        oldest = self._clock() - window - SLOT
        with self._lock:
            ring = self._rings.get((metric, aggregate_type), ())
            slots = [slot for slot in ring if slot.start > oldest]
            count = sum(slot.count for slot in slots)
            if not count:
                return None
            return Reading(_figure(READ_AS[metric], slots, count), count)


def _figure(over: Over, slots: list[_Slot], count: int) -> float:
    match over:
        case Over.WORST_HIGH:
            return max(slot.highest for slot in slots)
        case Over.LATEST:
            return slots[-1].latest
        case Over.SHARE:
            return sum(slot.total for slot in slots) / count
        case Over.P99:
            return _quantile(slots, math.ceil(count * 0.99))


def _quantile(slots: list[_Slot], rank: int) -> float:
    """Upper bound of the bucket with the observation of this rank (nearest-rank method)."""
    merged: dict[int, int] = {}
    for slot in slots:
        for bucket, number in slot.buckets.items():
            merged[bucket] = merged.get(bucket, 0) + number
    highest = max(slot.highest for slot in slots)
    for bucket in sorted(merged):
        rank -= merged[bucket]
        if rank <= 0:
            return min(PRECISION**bucket, highest)
    return highest
