"""A rest before the only suspect is sent, to see whether the session lives without it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from eatool.publishing.suspects import Suspects


class Quiet:
    """Belongs to the event loop."""

    def __init__(
        self,
        suspects: Suspects,
        seconds: float,
        *,
        clock: Callable[[], float],
        over: Callable[[], None],
    ) -> None:
        """``clock`` returns monotonic seconds; ``over`` is called when a rest has passed."""
        self._suspects = suspects
        self._seconds = seconds
        self._clock = clock
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """A session begins."""
        self._since = self._clock()

    def needed(self) -> bool:
        """Whether the session has yet to show that it lives without the suspect."""
        if not self._suspects.unproven:
            return False
        rest = self._since + self._seconds - self._clock()
        if rest <= 0:
            self._suspects.survived()
            return False
        if self._timer is None:
            self._timer = self._loop.call_later(rest, self._passed)
        return True

    def _passed(self) -> None:
        self._timer = None
        self._over()
