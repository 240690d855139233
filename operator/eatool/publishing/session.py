"""Keeps a session with the broker: opens, watches, gives up, opens anew."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from eatool.publishing.breaker import CircuitBreaker
from eatool.publishing.dispatch import Dispatcher
from eatool.publishing.observer import Observer
from eatool.publishing.port import (
    Addressed,
    Publisher,
    PublisherFactory,
    PublishError,
    SessionLost,
    SessionSilent,
)

_log = logging.getLogger(__name__)


class SessionKeeper:
    """One publisher at a time; a lost one is thrown away with all it had outstanding."""

    def __init__(
        self,
        destination: str,
        factory: PublisherFactory,
        dispatcher: Dispatcher,
        breaker: CircuitBreaker,
        observer: Observer,
        *,
        ack_timeout: float,
        report: Callable[[PublishError | None], None],
    ) -> None:
        """``report``: why there is no session, or ``None`` when there is one."""
        self._destination = destination
        self._factory = factory
        self._dispatcher = dispatcher
        self._breaker = breaker
        self._observer = observer
        self._ack_timeout = ack_timeout
        self._report = report
        self.connected = False
        self.address: str | None = None

    async def run(self) -> None:
        """Keep going until cancelled; the session is closed on the way out."""
        while True:
            await asyncio.sleep(self._breaker.wait)
            publisher = self._factory()
            try:
                await publisher.connect()
            except PublishError as error:
                await publisher.close()
                self._lost(error)
            else:
                self._lost(await self._use(publisher))

    async def _use(self, publisher: Publisher) -> PublishError:
        self.connected = True
        self.address = publisher.address if isinstance(publisher, Addressed) else None
        self._report(None)
        _log.info("%s: connected to %s", self._destination, self.address or "the broker")
        self._observer.connection(up=True)
        self._dispatcher.attach(publisher)
        try:
            return await self._ended(publisher)
        finally:
            self._dispatcher.detach()
            self.connected, self.address = False, None
            self._observer.connection(up=False)
            await publisher.close()

    async def _ended(self, publisher: Publisher) -> SessionLost:
        """Wait until the session is lost, or silent for too long: no receipt times out itself."""
        watch = asyncio.ensure_future(publisher.lost())
        try:
            while True:
                done, _ = await asyncio.wait((watch,), timeout=min(1.0, self._ack_timeout / 4))
                if done:
                    return watch.result()
                if self._dispatcher.is_silent(self._ack_timeout):
                    silence = SessionSilent(f"no acknowledgement within {self._ack_timeout:g} s")
                    self._dispatcher.silent(silence)
                    return silence
                self._breaker.session_up(idle=not self._dispatcher.has_work)
        finally:
            watch.cancel()

    def _lost(self, error: PublishError) -> None:
        self._breaker.trip()
        self._report(error)
        _log.warning("%s: %s; next try in %.1f s", self._destination, error, self._breaker.wait)
