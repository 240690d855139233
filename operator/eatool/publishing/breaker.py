"""Circuit breaker of one destination, a state machine without timers or tasks of its own.

Closed: messages flow. A broken session, ``failures`` transient faults in a row, or ``ratio`` of
the last ``sample`` answers open it. Open: nothing is sent until a full-jitter exponential backoff
has passed. Half-open: one message at a time; ``successes`` acknowledgements close it, or ``rest``
seconds of a session that has nothing to send; any fault opens it again with a longer backoff.
Written here because the asyncio libraries at hand count
calls, not pipelined acknowledgements, and have neither jitter nor an injected clock.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class CircuitState(StrEnum):
    """What the destination may be sent at the moment."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Limits of a breaker; delays in seconds."""

    failures: int = 5
    ratio: float = 0.5
    sample: int = 20
    successes: int = 3
    rest: float = 3.0
    base: float = 1.0
    cap: float = 20.0


class CircuitBreaker:
    """Not thread-safe: the relay's event loop owns it."""

    def __init__(
        self,
        policy: BreakerPolicy | None = None,
        *,
        clock: Callable[[], float],
        uniform: Callable[[float, float], float] = random.uniform,
        on_change: Callable[[CircuitState], None] = lambda _state: None,
    ) -> None:
        """``clock`` returns monotonic seconds; ``uniform`` draws the jitter."""
        self._policy = policy or BreakerPolicy()
        self._clock = clock
        self._uniform = uniform
        self._on_change = on_change
        self._state = CircuitState.CLOSED
        self._retry_at = 0.0
        self._opened = 0
        self._resting_since: float | None = None
        self._reset_counts()

    @property
    def state(self) -> CircuitState:
        """The present state; an open circuit turns half-open when its backoff has passed."""
        if self._state is CircuitState.OPEN and self._clock() >= self._retry_at:
            self._move(CircuitState.HALF_OPEN)
        return self._state

    @property
    def closed(self) -> bool:
        """Messages may flow freely."""
        return self._state is CircuitState.CLOSED

    @property
    def wait(self) -> float:
        """Seconds until an open circuit may be tried again; 0 in the other states."""
        return max(0.0, self._retry_at - self._clock()) if self._state is CircuitState.OPEN else 0.0

    def success(self) -> None:
        """One message was acknowledged."""
        if self._state is CircuitState.CLOSED:
            self._consecutive = 0
            if self._failed_of_sample:
                self._vote(failed=False)
        elif self._state is CircuitState.HALF_OPEN:
            self._acknowledged += 1
            if self._acknowledged >= self._policy.successes:
                self._close()

    def session_up(self, *, idle: bool) -> None:
        """Tell every second or so that the session stands; ``idle``: with no event to send.

        What failed last was most often the session, so that one which lasts is a success of it:
        without this the circuit of a quiet log would stay half-open until three events happen.
        """
        if not idle or self.state is not CircuitState.HALF_OPEN:
            self._resting_since = None
        elif self._resting_since is None:
            self._resting_since = self._clock()
        elif self._clock() - self._resting_since >= self._policy.rest:
            self._close()

    def failure(self) -> None:
        """One message met a transient fault while the session stayed up."""
        if self._state is CircuitState.HALF_OPEN:
            self.trip()
        elif self._state is CircuitState.CLOSED:
            self._consecutive += 1
            self._vote(failed=True)
            full = len(self._answers) == self._policy.sample
            limit = self._policy.ratio * self._policy.sample
            if self._consecutive >= self._policy.failures or (
                full and self._failed_of_sample >= limit
            ):
                self.trip()

    def trip(self) -> None:
        """Open now: the whole destination failed, there is nothing to vote about."""
        if self.state is CircuitState.OPEN:
            return
        ceiling = min(self._policy.cap, self._policy.base * 2.0**self._opened)
        # Stop counting where doubling has passed the cap anyway, far from float overflow.
        self._opened = min(self._opened + 1, 64)
        self._retry_at = self._clock() + self._uniform(0.0, ceiling)
        self._move(CircuitState.OPEN)

    def _close(self) -> None:
        self._opened = 0
        self._move(CircuitState.CLOSED)

    def _vote(self, *, failed: bool) -> None:
        if len(self._answers) == self._policy.sample:
            self._failed_of_sample -= self._answers.popleft()
        self._answers.append(failed)
        self._failed_of_sample += failed

    def _move(self, state: CircuitState) -> None:
        self._state = state
        self._reset_counts()
        self._on_change(state)

    def _reset_counts(self) -> None:
        self._consecutive = 0
        self._acknowledged = 0
        self._failed_of_sample = 0
        self._answers: deque[bool] = deque()
        self._resting_since = None
