"""A limit to how fast a destination is sent events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Events per second on average, and events at once after a pause; both at least 1."""

    events_per_second: float
    burst: int


class TokenBucket:
    """One token an event; full at the start. Not thread-safe: the event loop owns it."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float]) -> None:
        """``clock`` returns monotonic seconds."""
        self._limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._filled_at = clock()

    @property
    def available(self) -> int:
        """How many events may leave now."""
        now = self._clock()
        filled = (now - self._filled_at) * self._limit.events_per_second
        self._tokens = min(float(self._limit.burst), self._tokens + filled)
        self._filled_at = now
        # A token that is there but for a rounding error is there: nobody waits for 1e-16 s.
        return int(self._tokens + 1e-9)

    @property
    def wait(self) -> float:
        """Seconds until the next event may leave; 0 when one may leave now."""
        return 0.0 if self.available else (1.0 - self._tokens) / self._limit.events_per_second

    def take(self) -> None:
        """One event leaves; ask :attr:`available` first."""
        self._tokens -= 1.0
