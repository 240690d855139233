"""Sends what is waiting: one event of a stream at a time, many streams at once.

An event is sent only when its predecessor in the stream is acknowledged, to this relay or to the
one whose checkpoint it started from. Therefore nobody, not even a relay that lost its lease
without noticing and has messages under way, can make a broker see two events of a stream for the
first time in the wrong order; leases only keep work from being done twice.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from eatool.publishing.answers import error_of, failed, unencodable
from eatool.publishing.backlog import Backlog
from eatool.publishing.breaker import CircuitBreaker
from eatool.publishing.cloudevents import Encoder
from eatool.publishing.flights import Flight, Flights
from eatool.publishing.lineup import Lineup
from eatool.publishing.observer import Observer
from eatool.publishing.options import RelayOptions
from eatool.publishing.port import (
    PermanentPublishError,
    Publisher,
    PublishError,
    SessionLost,
    SessionSilent,
    TransientPublishError,
)
from eatool.publishing.quiet import Quiet
from eatool.publishing.suspects import Suspects
from eatool.publishing.throttle import Throttle
from eatool.store.encoding import StoredEvent

_log = logging.getLogger(__name__)

#: One event may wait for its answer so many times longer than all of them, while others are
#: answered: a slow broker with a full window is no dead one.
_PATIENCE: Final = 4


class Dispatcher:
    """The window over the backlog, and what happens to each answer. The loop owns it."""

    def __init__(
        self,
        encoder: Encoder,
        breaker: CircuitBreaker,
        options: RelayOptions,
        observer: Observer,
        *,
        clock: Callable[[], float],
        may_send: Callable[[], bool],
        finished: Callable[[StoredEvent], None],
        refused: Callable[[StoredEvent, str, int], bool],
    ) -> None:
        """``finished``: acknowledged. ``refused``: park this stream; False when it may not be."""
        self._encoder = encoder
        self._breaker = breaker
        self._options = options
        self._observer = observer
        self._clock = clock
        self._may_send = may_send
        self._finished = finished
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._publisher: Publisher | None = None
        self.backlog = Backlog(options.page)
        self._flights = Flights()
        self._suspects = Suspects(options.max_disconnects)
        self._lineup = Lineup(self.backlog, self._flights, self._suspects)
        self._quiet = Quiet(self._suspects, options.quiet, clock=clock, over=self._resume)
        self._attempts: dict[str, int] = {}
        self._throttle = Throttle(
            breaker, options, clock=clock, retry=self._resume, go_on=self.pump
        )
        self._answered_at = 0.0
        self._session_told = False
        self._silence: SessionSilent | None = None
        self._pump_scheduled = False
        self._stopping = False
        self.landed = asyncio.Event()

    # -- what goes in ------------------------------------------------------------------------

    def offer(self, event: StoredEvent) -> None:
        """Queue one event behind those of its stream; call :meth:`pump` after a batch."""
        if self.backlog.add(event):
            self._lineup.append(event.stream_id)

    def take(self, stream_id: str) -> list[StoredEvent]:
        """Remove and return everything queued of one stream (nothing of it is in flight)."""
        self._attempts.pop(stream_id, None)
        self._lineup.forget(stream_id)
        self._suspects.forget(stream_id)
        return self.backlog.take(stream_id)

    def drop(self, partitions: Collection[int]) -> None:
        """Forget everything of partitions that are not ours any more."""
        for stream_id in self.backlog.streams_of(partitions):
            self._flights.forget(stream_id)
            self.take(stream_id)
        self._lineup.drop(partitions)
        if not self._flights:
            self.landed.set()

    def hold_back(self, partitions: Collection[int]) -> None:
        """Send nothing more of exactly these partitions."""
        if self._lineup.hold_back(partitions):
            self._resume()

    # -- the session -------------------------------------------------------------------------

    def attach(self, publisher: Publisher) -> None:
        """Send through a fresh session from now on."""
        self._publisher = publisher
        self._quiet.begin()
        self._session_told = False
        self._silence = None
        self._resume()

    def silent(self, silence: SessionSilent) -> None:
        """The session answers nothing any more; send nothing until it is closed."""
        self._silence = silence
        self.detach()

    def detach(self) -> None:
        """Stop sending; the session's close ends what is in flight."""
        self._publisher = None

    def stop(self) -> None:
        """Start nothing new; answers still count."""
        self._stopping = True

    # -- observation -------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Events without an answer."""
        return len(self._flights)

    @property
    def has_work(self) -> bool:
        """Events wait to be sent, or for an answer."""
        return bool(self.backlog.waiting or self._flights)

    def idle(self, partition: int) -> bool:
        """Nothing of the partition is in flight."""
        return self._flights.of(partition) == 0

    def is_silent(self, limit: float) -> bool:
        """Nothing was answered for ``limit`` seconds, or one event not for much longer."""
        oldest, now = self._flights.oldest, self._clock()
        if oldest is None:
            return False
        waited = now - oldest.sent_at
        return min(waited, now - self._answered_at) > limit or waited > _PATIENCE * limit

    # -- sending -----------------------------------------------------------------------------

    def pump(self) -> None:
        """Send as much as circuit and window allow."""
        self._pump_scheduled = False
        publisher = self._publisher
        if publisher is None or self._stopping or not self._lineup:
            return
        flights = self._flights
        limit = self._throttle.limit(len(flights))
        if limit == 0 or not self._may_send():
            return
        if self._suspects and self._suspects.any_of(flights):
            return  # it is alone, so that it is clear what it does to the session
        while len(flights) < limit and self._publisher is publisher:
            event = self._lineup.next()
            if event is None:
                return
            if event.stream_id in self._suspects:
                if self._quiet.needed():
                    continue
                if flights:
                    self._lineup.put_first(event.stream_id)
                else:
                    self._send(publisher, event)
                return
            self._send(publisher, event)

    def _resume(self) -> None:
        self._lineup.renew()
        self.pump()

    def _send(self, publisher: Publisher, event: StoredEvent) -> None:
        flight = self._flights.start(event, self._clock())
        self._throttle.sent()
        # Whatever is raised here, only this stream suffers.
        try:
            message = self._encoder(event)
        except Exception as error:
            answer = failed(unencodable(error))
        else:
            try:
                answer = publisher.publish(message)
            except Exception as error:
                answer = failed(error)
        answer.add_done_callback(partial(self._answered, flight))

    def _answered(self, flight: Flight, answer: asyncio.Future[None]) -> None:
        event = flight.event
        error = error_of(answer)
        alone = len(self._flights) == 1
        if not self._flights.land(flight):
            return  # the partition was lost meanwhile
        self._answered_at = self._clock()
        if error is None:
            self._acknowledged(flight)
        elif isinstance(error, SessionLost):
            self._session_lost(event, error, alone=alone)
        else:
            self._failed(event, error)
        if not self._flights:
            self.landed.set()
        if not self._pump_scheduled:
            self._pump_scheduled = True
            self._loop.call_soon(self.pump)

    def _acknowledged(self, flight: Flight) -> None:
        event = flight.event
        if self.backlog.finish(event.stream_id):
            self._lineup.append(event.stream_id)
        self._lineup.acknowledged(event.stream_id)
        if self._attempts:
            self._attempts.pop(event.stream_id, None)
        if self._suspects:
            self._suspects.acknowledged(event.stream_id)
        self._breaker.success()
        self._finished(event)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug(
                "%s version %d acknowledged",
                event.stream_id, event.version,
                extra={"correlation_id": str(event.correlation_id)},
            )  # fmt: skip
        self._observer.published(
            event, time.time() - event.recorded_at.timestamp(), self._clock() - flight.sent_at
        )

    def _session_lost(self, event: StoredEvent, error: SessionLost, *, alone: bool) -> None:
        # The circuit hears of it once, from the session, not once per event in flight.
        ended = error if self._publisher is not None else self._silence
        self.detach()
        if self._session_told:
            return
        self._session_told = True
        self._observer.failed("session")
        if alone and ended is not None:  # else we ended it ourselves
            self._accuse(event, ended)

    def _accuse(self, event: StoredEvent, ended: SessionLost) -> None:
        self._lineup.set_back(event.stream_id)
        silent = isinstance(ended, SessionSilent)
        if self._suspects.accuse(event.stream_id, silent=silent):
            what = "fell silent" if silent else "ended"
            reason = f"each time it was sent alone the session {what}: {ended}"
            self._give_up(event, "permanent", reason, self._options.max_disconnects)

    def _failed(self, event: StoredEvent, error: PublishError) -> None:
        if isinstance(error, TransientPublishError):
            self._observer.failed("transient")
            self._breaker.failure()
            self._lineup.set_back(event.stream_id)
            self._lineup.append(event.stream_id)
        else:
            self._count_attempt(event, error)

    def _count_attempt(self, event: StoredEvent, error: PublishError) -> None:
        attempts = self._attempts.get(event.stream_id, 0) + 1
        permanent = isinstance(error, PermanentPublishError)
        kind = "permanent" if permanent else "refused"
        self._observer.failed(kind)
        if permanent or attempts >= self._options.max_attempts:
            self._give_up(event, kind, str(error), attempts)
            return
        self._attempts[event.stream_id] = attempts
        ceiling = min(self._options.retry_cap, self._options.retry_base * 2.0**attempts)
        delay = random.uniform(0.0, ceiling)  # noqa: S311 - jitter, not a secret
        self._loop.call_later(delay, self._again, event.stream_id)

    def _give_up(self, event: StoredEvent, kind: str, reason: str, attempts: int) -> None:
        self._lineup.block(event.stream_id)  # until it is taken away
        if self._refused(event, reason, attempts):
            self._observer.given_up(event, kind)
            return
        self._lineup.release(event.stream_id)
        # Too many streams are parked already: that is no longer one event's fault.
        self._breaker.trip()
        self._lineup.put_first(event.stream_id)

    def _again(self, stream_id: str) -> None:
        self._lineup.append(stream_id)
        self.pump()
