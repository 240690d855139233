"""Validity windows: from when to when something holds, both ends included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from eatool.domain.fields import parse_timestamp
from eatool.domain.timing import Validity

_EVER_SINCE = datetime.min.replace(tzinfo=UTC)
_FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """Both ends as instants; an open end is the first or last instant there is."""

    opens: datetime
    closes: datetime

    @classmethod
    def of(cls, effective_from: object, effective_to: object) -> Window:
        """From aware datetimes or their JSON form (ISO 8601 with ``Z``); ``None`` is open."""
        return cls(
            _EVER_SINCE if effective_from is None else parse_timestamp(effective_from),
            _FOR_EVER if effective_to is None else parse_timestamp(effective_to),
        )

    def overlaps(self, other: Window) -> bool:
        """Whether some instant lies in both; touching windows share one."""
        return self.opens <= other.closes and other.opens <= self.closes

    def validity(self, now: datetime) -> Validity:
        """Whether ``now`` (aware) lies before, in or after it."""
        if now < self.opens:
            return Validity.NOT_YET
        return Validity.WITHIN if now <= self.closes else Validity.OVER
