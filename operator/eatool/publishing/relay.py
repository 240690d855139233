"""The relay: tails the log and publishes it to one destination, at least once, in order.

Order holds per stream; many streams are in flight. A crash re-sends what was not written down as
acknowledged, with the same ids. Several relay processes of one destination share its partitions.

    relay = Relay(store, lambda: MqttPublisher(options), checkpoints,
                  destination="mqtt", encoder=CloudEventsEncoder(TopicTemplate(env="prod")))
    await relay.run()          # until stop() is called elsewhere

One relay, one destination: several brokers are several relays, which share nothing but the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

from eatool.publishing.breaker import CircuitBreaker
from eatool.publishing.checkpoints import Checkpoints, ParkedStream
from eatool.publishing.cloudevents import Encoder
from eatool.publishing.dispatch import Dispatcher
from eatool.publishing.holdings import Held, Holdings
from eatool.publishing.observer import NullObserver, Observer
from eatool.publishing.options import RelayOptions, RelayStatus
from eatool.publishing.parking import ParkingLot
from eatool.publishing.port import PublisherFactory, PublishError, SessionLost
from eatool.publishing.selection import EVERYTHING, Selects
from eatool.publishing.session import SessionKeeper
from eatool.publishing.source import StoredLog
from eatool.publishing.tail import Tail
from eatool.store.encoding import StoredEvent
from eatool.store.port import StoreUnavailable

_log = logging.getLogger(__name__)


class Relay:
    """Publishes one log to one destination. Make it inside the event loop it runs in."""

    def __init__(
        self,
        store: StoredLog,
        publisher_factory: PublisherFactory,
        checkpoints: Checkpoints,
        *,
        destination: str,
        encoder: Encoder,
        selects: Selects = EVERYTHING,
        owner: str = "relay",
        window: int | None = None,
        options: RelayOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
        observer: Observer | None = None,
    ) -> None:
        """``owner`` names the process for people; every relay object adds its own suffix.

        ``selects``: which events go to the destination; the cursors move past the others.
        ``clock`` returns monotonic seconds; ``window`` is a shorthand for ``options.window``.
        """
        options = options or RelayOptions()
        self._options = options if window is None else replace(options, window=window)
        self._destination = destination
        self._checkpoints = checkpoints
        self._observer = observer or NullObserver()
        self._errors: dict[str, str | PublishError | None] = {}
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        owner = f"{owner}-{uuid4().hex[:8]}"
        self._breaker = CircuitBreaker(
            self._options.breaker, clock=clock, on_change=self._observer.circuit
        )
        self._holdings = Holdings(
            checkpoints,
            destination,
            owner,
            lease=self._options.lease,
            start=self._options.start,
            clock=clock,
            on_gain=self._gained,
            on_loss=self._lost,
        )
        self._dispatcher = Dispatcher(
            encoder,
            self._breaker,
            self._options,
            self._observer,
            clock=clock,
            may_send=self._may_send,
            finished=self._finished,
            refused=self._refused,
        )
        self._lot = ParkingLot(
            store,
            checkpoints,
            destination=destination,
            owner=owner,
            options=self._options,
            observer=self._observer,
            dispatcher=self._dispatcher,
            selects=selects,
            spawn=self._spawn,
        )
        self._tail = Tail(
            store,
            self._holdings,
            self._dispatcher,
            self._options,
            selects=selects,
            passes_over=self._lot.passes_over,
            report=lambda error: self._note("log", error),
        )
        self._session = SessionKeeper(
            destination,
            publisher_factory,
            self._dispatcher,
            self._breaker,
            self._observer,
            ack_timeout=self._options.ack_timeout,
            report=lambda error: self._note("broker", error),
        )

    async def run(self) -> None:
        """Publish until :meth:`stop`, or up to ``options.until``; then write everything down."""
        try:
            for part in (self._lease(), self._tail.run(), self._session.run(), self._flush()):
                self._spawn(part)
            stopping = self._spawn(self._stopped())
            await asyncio.wait((stopping, self._failure), return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                self._failure.result()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            with suppress(StoreUnavailable):
                await self._holdings.leave()

    async def stop(self) -> None:
        """Ask :meth:`run` to end: no new sends, a grace time for answers, a last flush."""
        self._stop.set()

    async def unpark(self, stream_id: str) -> bool:
        """Send what was passed over of a parked stream, then go on; False if it is not parked."""
        known = await asyncio.to_thread(
            self._checkpoints.request_resend, self._destination, stream_id
        )
        if known:
            await self._lot.refresh()
        return known

    def status(self) -> RelayStatus:
        """A snapshot; cheap enough for every scrape."""
        held = self._holdings.held.values()
        oldest = self._dispatcher.backlog.oldest()
        error = next((each for each in self._errors.values() if each), None)
        read = min((each.progress.read for each in held), default=self._tail.head)
        return RelayStatus(
            destination=self._destination,
            partitions=len(held),
            leads=0 in self._holdings.held,
            position=min((each.progress.position for each in held), default=0),
            head=self._tail.head,
            lag_events=max(0, self._tail.head - read) + self._dispatcher.backlog.waiting,
            oldest_unpublished_at=None if oldest is None else oldest.recorded_at,
            connected=self._session.connected,
            address=self._session.address,
            circuit=self._breaker.state,
            in_flight=self._dispatcher.in_flight,
            waiting=self._dispatcher.backlog.waiting,
            parked=len(self._lot),
            last_error=None if error is None else str(error),
            fault=error.fault if isinstance(error, SessionLost) else None,
        )

    # -- what the parts say to each other ----------------------------------------------------

    def _gained(self, gained: Iterable[Held], parked: Iterable[ParkedStream]) -> None:
        self._lot.adopt(parked, {held.partition: held for held in gained})
        self._tail.wake()

    def _lost(self, partitions: Collection[int]) -> None:
        self._dispatcher.drop(partitions)
        self._lot.forget(partitions)

    def _may_send(self) -> bool:
        if self._holdings.valid:
            return True
        self._holdings.drop_all()
        return False

    def _finished(self, event: StoredEvent) -> None:
        held = self._holdings.held[event.partition]
        held.sent += 1
        if len(self._lot) and self._lot.resent(event):
            return
        held.progress.finish(event.position)
        held.touched = True

    def _refused(self, event: StoredEvent, reason: str, attempts: int) -> bool:
        return self._lot.park(event, self._holdings.held[event.partition], reason, attempts)

    def _note(self, part: str, error: str | PublishError | None) -> None:
        self._errors[part] = error

    # -- the background ----------------------------------------------------------------------

    async def _lease(self) -> None:
        while True:
            try:
                await self._holdings.flush(everything=True)
                await self._holdings.claim()
                await self._drain()
                await self._lot.refresh()
                self._note("checkpoints", None)
            except StoreUnavailable as error:
                _log.warning("%s: leases cannot be renewed: %s", self._destination, error)
                self._note("checkpoints", f"checkpoints: {error}")
            await asyncio.sleep(self._options.lease / 3)

    async def _drain(self) -> None:
        """Give back what is more than our share once its answers are in."""
        draining = [each.partition for each in self._holdings.held.values() if each.draining]
        self._dispatcher.hold_back(draining)
        deadline = self._options.lease / 3
        step = 0.02
        while draining and deadline > 0:
            idle = [partition for partition in draining if self._dispatcher.idle(partition)]
            if len(idle) == len(draining):
                break
            await asyncio.sleep(step)
            deadline -= step
        idle = [partition for partition in draining if self._dispatcher.idle(partition)]
        if idle:
            await self._holdings.give_back(idle)

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(self._options.flush_interval)
            with suppress(StoreUnavailable):  # the lease loop tells
                await self._holdings.flush()
                if self._options.until is not None and await self._through(self._options.until):
                    self._stop.set()

    async def _through(self, until: int) -> bool:
        """Whether all partitions have passed ``until``, also those that others hold."""
        if any(held.progress.position < until for held in self._holdings.held.values()):
            return False
        await self._holdings.flush(everything=True)
        cursors = await asyncio.to_thread(self._checkpoints.cursors, self._destination)
        if not cursors or any(cursor.position < until for cursor in cursors):
            return False
        parked = await asyncio.to_thread(self._checkpoints.parked, self._destination)
        return not any(stream.resend_requested for stream in parked)

    async def _stopped(self) -> None:
        await self._stop.wait()
        self._dispatcher.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.grace):
                while self._dispatcher.in_flight:
                    self._dispatcher.landed.clear()
                    await self._dispatcher.landed.wait()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run beside the others; an unexpected error ends :meth:`run` with it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not self._failure.done():
            self._failure.set_exception(error)
