"""What processes observe of kinds under rollout, in bounded memory until the database has it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from eatool.rollout.declared import LONGEST_WINDOW, Metric
from eatool.store.clock import Clock, utc_now

#: Width of a slot; a window is counted in whole slots, so it is up to this much longer.
SLOT: Final = timedelta(minutes=1)
#: Values within a factor of this are not told apart in a quantile, which is never too small.
PRECISION: Final = 1.05

_LOG_PRECISION = math.log(PRECISION)
#: Quantiles tell nothing apart below this many seconds.
_SMALLEST = 0.001


class Reading(NamedTuple):
    """A figure and the number of observations behind it; ``about``: what it is about."""

    value: float
    samples: int
    about: str = ""


class NoAnswer(Exception):
    """There is no figure now, for the reason given: missing data."""


class Over(Enum):
    """How the observations of a window become one figure."""

    SHARE = "mean"
    P99 = "99th percentile"


#: Metrics that no table of the database tells: what each process sees itself.
Observed = Literal["PublishLagSecondsP99", "ErrorRatio", "AppendConflictRatio"]

#: How each is read. A share is fed with 1 for what failed and 0 for what did not.
READ_AS: Final[Mapping[Observed, Over]] = MappingProxyType(
    {
        "PublishLagSecondsP99": Over.P99,
        "ErrorRatio": Over.SHARE,
        "AppendConflictRatio": Over.SHARE,
    }
)


class Place(NamedTuple):
    """Where observations belong: to a metric of a kind, in the slot that begins at ``start``."""

    metric: Observed
    aggregate_type: str
    start: datetime


@dataclass(slots=True)
class Slot:
    """Observations of one place, added up."""

    count: int = 0
    total: float = 0.0
    highest: float = 0.0
    #: Observations by the power of :data:`PRECISION` that is at least as large.
    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, value: float, count: int, *, spread: bool) -> None:
        """``count`` observations of ``value``; ``spread``: a quantile will be asked for."""
        self.count += count
        self.total += value * count
        self.highest = max(self.highest, value)
        if spread:
            bucket = math.ceil(math.log(max(value, _SMALLEST)) / _LOG_PRECISION)
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count


def figure(metric: Observed, slots: Iterable[Slot]) -> Reading | None:
    """What observations come to, of whatever processes; ``None`` without a single one."""
    merged = Slot()
    for slot in slots:
        merged.count += slot.count
        merged.total += slot.total
        merged.highest = max(merged.highest, slot.highest)
        for bucket, number in slot.buckets.items():
            merged.buckets[bucket] = merged.buckets.get(bucket, 0) + number
    if not merged.count:
        return None
    if READ_AS[metric] is Over.SHARE:
        return Reading(merged.total / merged.count, merged.count)
    return Reading(_quantile(merged, math.ceil(merged.count * 0.99)), merged.count)


def _quantile(merged: Slot, rank: int) -> float:
    """Upper bound of the bucket with the observation of this rank (nearest-rank method)."""
    for bucket in sorted(merged.buckets):
        rank -= merged.buckets[bucket]
        if rank <= 0:
            return min(PRECISION**bucket, merged.highest)
    return merged.highest


class Samples:
    """Takes observations, and answers for all metrics through their sources; thread-safe.

    What is observed waits here until it is :meth:`kept`, at most for a day.
    """

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[Place, Slot] = {}
        self._changed: set[Place] = set()
        self._sources: dict[Metric, Callable[[str, timedelta], Reading | None]] = {}

    def observe(self, metric: Observed, aggregate_type: str, value: float, count: int = 1) -> None:
        """Record ``count`` observations of ``value``, now."""
        now = self._clock()
        place = Place(metric, aggregate_type, now.replace(second=0, microsecond=0))
        with self._lock:
            slot = self._slots.get(place)
            if slot is None:
                self._forget(now - LONGEST_WINDOW)
                slot = self._slots[place] = Slot()
            slot.add(value, count, spread=READ_AS[metric] is Over.P99)
            self._changed.add(place)

    def changed(self) -> dict[Place, Slot]:
        """Slots as they are, of those that were observed in since they were kept."""
        with self._lock:
            return {
                place: replace(self._slots[place], buckets=dict(self._slots[place].buckets))
                for place in self._changed
            }

    def kept(self, slots: Mapping[Place, Slot]) -> None:
        """These need not wait any more, as far as they have not changed again."""
        with self._lock:
            self._changed -= {
                place for place, slot in slots.items() if self._slots.get(place) == slot
            }
            self._forget(self._clock() - SLOT, unless=self._changed)

    def supply(self, metric: Metric, source: Callable[[str, timedelta], Reading | None]) -> None:
        """Let ``source(aggregate_type, window)`` answer for this metric."""
        self._sources[metric] = source

    def read(self, metric: Metric, aggregate_type: str, window: timedelta) -> Reading | None:
        """The figure over the last ``window``; ``None`` when nobody knows it."""
        source = self._sources.get(metric)
        return None if source is None else source(aggregate_type, window)

    def _forget(self, before: datetime, unless: Iterable[Place] = ()) -> None:
        old = {place for place in self._slots if place.start <= before} - set(unless)
        self._changed -= old
        for place in old:
            del self._slots[place]
