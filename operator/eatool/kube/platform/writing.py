"""Status writes: one per turn of events, a trickle while figures move, none without news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from eatool.kube.platform.resources import Body, Key
from eatool.kube.platform.sightings import Sightings

#: Told about a status that changed: the object before and after.
Announce = Callable[[Body, Body], None]

#: What a status says beyond figures that move, to be compared.
Essence = Callable[[Mapping[str, Any]], object]

#: Least seconds between two writes of moved figures to one object.
INTERVAL = 2.0


class StatusApi(Protocol):
    """Where statuses go; :class:`~eatool.kube.platform.api.PlatformApi` in production."""

    async def set_status(
        self, key: Key, uid: str, status: Body, *, version: str | None = None
    ) -> Body | None:
        """Replace the status of exactly this object; ``None`` when it is gone."""
        ...


class StatusWriter:
    """Belongs to the operator's event loop."""

    def __init__(
        self,
        api: StatusApi,
        sightings: Sightings,
        announce: Announce,
        *,
        interval: float = INTERVAL,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """``clock`` returns monotonic seconds."""
        self._api = api
        self._sightings = sightings
        self._announce = announce
        self._interval = interval
        self._clock = clock or asyncio.get_running_loop().time
        self._written: dict[Key, float] = {}

    async def write(
        self,
        key: Key,
        body: Body,
        status: Mapping[str, Any],
        *,
        essence: Essence | None = None,
        only_if_current: bool = False,
    ) -> Body | None:
        """Bring the status of ``body`` to ``status``; returns the object as it is then.

        A status that differs in its ``essence`` is written at once (without one: any that
        differs); another not before the interval since the last write has passed, and ``body``
        comes back unchanged. ``only_if_current``: ``ApiConflict`` if the object has changed since
        ``body``. ``None`` when it is gone. Raises what the API says.
        """
        now, old = self._clock(), body.get("status") or {}
        if status == old:
            return body
        turn = essence is None or essence(status) != essence(old)
        if not turn and now - self._written.get(key, -self._interval) < self._interval:
            return body
        self._written[key] = now
        metadata = body["metadata"]
        version = metadata["resourceVersion"] if only_if_current else None
        written = await self._api.set_status(key, metadata["uid"], dict(status), version=version)
        if written is not None:
            self._sightings.observe(key, written)
            self._announce(body, written)
        return written

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._written.pop(key, None)
