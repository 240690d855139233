"""Follows the log to wake objects that other processes' changes concern."""

from __future__ import annotations

import asyncio

import structlog

from eatool.registry.arrivals import Arrivals
from eatool.store.port import EventStore, StoreUnavailable

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.tail")

_POLL = 2.0
_PAGE = 1000


class LogTail:
    """Reports every recorded event to :class:`Arrivals`.

    This process's own changes wake their waiters without it; it finds those of ``eatool apply``,
    of a second operator during a rolling update, and of whatever else writes to the log.
    """

    def __init__(self, store: EventStore, arrivals: Arrivals, poll: float = _POLL) -> None:
        self._store = store
        self._arrivals = arrivals
        self._poll = poll
        self._position: int | None = None

    async def run(self) -> None:
        """Follow the log until cancelled: from its end at first, then from where it stopped."""
        while True:
            try:
                if self._position is None:
                    self._position = (await asyncio.to_thread(self._store.head)).position
                events = await asyncio.to_thread(
                    self._store.read_all, after=self._position, limit=_PAGE
                )
            except StoreUnavailable as error:
                _log.warning("store unavailable", why=str(error))
                events = []
            if events:
                self._arrivals.recorded(events)
                self._position = events[-1].position
            if len(events) < _PAGE:
                await asyncio.sleep(self._poll)
