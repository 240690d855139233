"""The relays of one process: started, replaced, restarted and stopped one by one.

Every destination has a task of its own; what one of them meets never reaches another. Changes of
one destination wait for each other, changes of different ones do not.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from weakref import WeakValueDictionary

from eatool.publishing.checkpoints import Checkpoints
from eatool.publishing.destination import Destination
from eatool.publishing.observer import Observer
from eatool.publishing.options import RelayStatus
from eatool.publishing.relay import Relay
from eatool.publishing.source import StoredLog

_log = logging.getLogger(__name__)

#: Pauses before a relay that failed starts again, seconds; it counts as healthy after the last.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
#: Seconds beyond the grace of a relay after which its task is cancelled.
_MARGIN = 5.0


class _Member:
    """One destination and what keeps its relay going."""

    def __init__(self, destination: Destination, fingerprint: str) -> None:
        self.destination = destination
        self.fingerprint = fingerprint
        self.relay: Relay | None = None
        self.task: asyncio.Task[None] | None = None
        self.stopping = asyncio.Event()
        self.finished = False
        self.failure: str | None = None


class Fleet:
    """Lives in one event loop, as its relays do; not thread-safe."""

    def __init__(
        self,
        store: StoredLog,
        checkpoints: Checkpoints,
        *,
        owner: str,
        observer_of: Callable[[str], Observer],
        first_pause: float = _FIRST_PAUSE,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """``owner`` names the process for people; ``observer_of`` is asked by destination name.

        ``first_pause``: most seconds before a failed relay starts again; doubled up to a minute.
        ``uniform`` draws the jitter: what failed in all processes must not return in step.
        """
        self._store = store
        self._checkpoints = checkpoints
        self._owner = owner
        self._observer_of = observer_of
        self._first_pause = first_pause
        self._uniform = uniform
        self._members: dict[str, _Member] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._stopped = False

    @property
    def names(self) -> frozenset[str]:
        """Destinations that are served, or were served to their end."""
        return frozenset(self._members)

    async def put(self, destination: Destination, fingerprint: str) -> None:
        """Serve a destination; nothing happens when ``fingerprint`` is the one it has.

        Otherwise the old relay stops first, with grace, and the new one goes on from its
        checkpoint. RuntimeError when the fleet was stopped.
        """
        name = destination.name
        async with self._changing(name):
            present = self._members.get(name)
            if present and present.fingerprint == fingerprint and not present.stopping.is_set():
                return
            await self._halt(name)
            if destination.material is not None:
                await asyncio.to_thread(destination.material.keep)
            if self._stopped:
                raise RuntimeError("the fleet was stopped")
            member = self._members[name] = _Member(destination, fingerprint)
            member.task = asyncio.get_running_loop().create_task(self._keep(member))

    async def remove(self, name: str) -> None:
        """Stop serving a destination, with grace; its checkpoint stays, its files do not.

        Unknown names are fine.
        """
        async with self._changing(name):
            member = await self._halt(name)
            if member is not None and member.destination.material is not None:
                await asyncio.to_thread(member.destination.material.discard)

    async def stop(self) -> None:
        """Stop everything at the same time, with grace; nothing can be put afterwards."""
        self._stopped = True
        await asyncio.gather(*(self.remove(name) for name in list(self._members)))

    def status(self, name: str) -> RelayStatus | None:
        """How the relay of a destination stands; ``None`` without one, or before it began."""
        member = self._members.get(name)
        if member is None or member.relay is None:
            return None
        status = member.relay.status()
        return replace(status, last_error=status.last_error or member.failure)

    def finished(self, name: str) -> bool:
        """Whether a destination with an end was served to it."""
        member = self._members.get(name)
        return member is not None and member.finished

    async def unpark(self, name: str, stream_id: str) -> bool:
        """Send what was passed over of a parked stream; False when it is not parked.

        Works for destinations of other processes too, which notice within seconds.
        """
        member = self._members.get(name)
        if member is not None and member.relay is not None:
            return await member.relay.unpark(stream_id)
        return await asyncio.to_thread(self._checkpoints.request_resend, name, stream_id)

    # -- one destination ---------------------------------------------------------------------

    async def _keep(self, member: _Member) -> None:
        """Run its relay until asked to stop or at its end; start it again when it fails."""
        name = member.destination.name
        loop = asyncio.get_running_loop()
        pause = self._first_pause
        while not member.stopping.is_set():
            began = loop.time()
            try:
                member.relay = member.destination.relay(
                    self._store,
                    self._checkpoints,
                    owner=self._owner,
                    observer=self._observer_of(name),
                )
                await member.relay.run()
            except Exception as error:
                # Whatever it is, the other destinations must not hear of it.
                member.failure = f"{type(error).__name__}: the relay failed and starts again"
                if loop.time() - began > _LONGEST_PAUSE:
                    pause = self._first_pause
                delay = self._uniform(0.0, pause)
                _log.exception("%s: relay failed; next start in %.1f s", name, delay)
                await _unless(member.stopping, delay)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                member.finished = not member.stopping.is_set()
                return

    def _changing(self, name: str) -> asyncio.Lock:
        """Held while a destination changes; gone when nobody wants it."""
        return self._locks.setdefault(name, asyncio.Lock())

    async def _halt(self, name: str) -> _Member | None:
        """Stop and forget a member, if there is one."""
        member = self._members.get(name)
        if member is None or member.task is None:
            return None
        member.stopping.set()
        if member.relay is not None:
            await member.relay.stop()
        # Waiting never cancels it: a caller that is cancelled leaves a relay that ends by itself.
        grace = member.destination.options.grace + _MARGIN
        _, unfinished = await asyncio.wait((member.task,), timeout=grace)
        if unfinished:
            _log.warning("%s: the relay does not end; cancelling it", name)
            member.task.cancel()
            await asyncio.wait((member.task,), timeout=_MARGIN)
        if self._members.get(name) is member:
            del self._members[name]
        return member


async def _unless(event: asyncio.Event, seconds: float) -> None:
    """Sleep, but not longer than until ``event``."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
