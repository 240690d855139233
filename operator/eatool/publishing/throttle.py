"""How many events may be in flight at the moment: window, circuit and rate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from eatool.publishing.breaker import CircuitBreaker, CircuitState
from eatool.publishing.options import RelayOptions
from eatool.publishing.ratelimit import TokenBucket


class Throttle:
    """Tells the limit, and calls back when it has risen by the passing of time alone."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        options: RelayOptions,
        *,
        clock: Callable[[], float],
        retry: Callable[[], None],
        go_on: Callable[[], None],
    ) -> None:
        """``retry``: the circuit may be tried again. ``go_on``: the rate allows more."""
        self._breaker = breaker
        self._window = options.window
        self._rate = None if options.rate is None else TokenBucket(options.rate, clock)
        self._retry = retry
        self._go_on = go_on
        self._loop = asyncio.get_running_loop()
        self._retry_timer: asyncio.TimerHandle | None = None
        self._rate_timer: asyncio.TimerHandle | None = None

    def limit(self, in_flight: int) -> int:
        """Most events in flight, ``in_flight`` of them being there already; 0 = none."""
        if self._breaker.closed:
            limit = self._window
        elif self._breaker.state is CircuitState.HALF_OPEN:
            limit = 1
        else:
            if self._retry_timer is None:
                self._retry_timer = self._loop.call_later(self._breaker.wait, self._try_again)
            return 0
        return limit if self._rate is None else min(limit, in_flight + self._available(self._rate))

    def sent(self) -> None:
        """One event has left."""
        if self._rate is not None:
            self._rate.take()

    def _available(self, rate: TokenBucket) -> int:
        available = rate.available
        if not available and self._rate_timer is None:
            self._rate_timer = self._loop.call_later(rate.wait, self._refilled)
        return available

    def _try_again(self) -> None:
        self._retry_timer = None
        self._retry()

    def _refilled(self) -> None:
        self._rate_timer = None
        self._go_on()
