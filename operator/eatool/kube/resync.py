"""Lists everything now and then, and compares it with what the watches delivered.

Watches go deaf in the field while the process looks healthy (nolar/kopf#585, #955, #996). A
listing shows it: an object that has been newer on the API server than here for a while, or has
been gone there, was not delivered. Such objects are read again, counted, and readiness says so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from time import monotonic
from typing import Any, Protocol

import structlog

from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS
from eatool.kube.api import EntityApi
from eatool.kube.objects import is_current, ref_of
from eatool.kube.requests import ApiUnavailable
from eatool.settings import Settings
from eatool.telemetry.metrics import ReconcileMetrics

Body = dict[str, Any]

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.resync")

#: What the watches may lag behind a listing before they are called deaf, seconds.
_GRACE = 10.0
#: Longest pause before another look after the API server failed or a watch was deaf, seconds.
_SOON = 30.0


class Watching(Protocol):
    """The operator, as far as the resync needs it."""

    def refs(self) -> Collection[EntityRef]:
        """Everything it knows to exist."""
        ...

    def known(self, ref: EntityRef) -> Body | None:
        """The newest body it has."""
        ...

    def observe(self, ref: EntityRef, body: Body) -> None:
        """Take note of a version of an object."""
        ...

    def vanished(self, ref: EntityRef, body: Body) -> None:
        """Take note that an object is gone; ``body`` is its last known version."""
        ...

    def reconsider(self, ref: EntityRef) -> None:
        """Reconcile in any case."""
        ...


class Resync:
    """Periodic full comparison, one kind after the other."""

    def __init__(
        self,
        watching: Watching,
        api: EntityApi,
        metrics: ReconcileMetrics,
        settings: Settings,
        *,
        grace: float = _GRACE,
    ) -> None:
        self._watching = watching
        self._api = api
        self._metrics = metrics
        self._interval = settings.resync_interval
        self._namespaces: tuple[str | None, ...] = settings.namespaces or (None,)
        self._grace = grace
        self._finished: float | None = None
        self._deaf: frozenset[str] = frozenset()

    def complaint(self) -> str | None:
        """What is wrong with the watches, if anything."""
        if self._finished is None:
            return "the first comparison with a listing has not finished"
        if monotonic() - self._finished > 2 * self._interval + self._grace:
            return "the comparison with a listing is overdue"
        if self._deaf:
            return f"watches deliver nothing for {', '.join(sorted(self._deaf))}"
        return None

    async def run(self) -> None:
        """Compare soon after the start, then every interval, until cancelled."""
        # The initial listings of the watches should be through; if not, the grace covers it.
        await asyncio.sleep(min(2.0, self._interval))
        while True:
            try:
                await self.once()
            except ApiUnavailable as error:
                _log.warning("resync put off", why=str(error))
                await asyncio.sleep(min(_SOON, self._interval))
                continue
            await asyncio.sleep(min(_SOON, self._interval) if self._deaf else self._interval)

    async def once(self) -> None:
        """One comparison of all kinds."""
        unlisted: dict[EntityRef, Body] = {}
        for ref in self._watching.refs():
            body = self._watching.known(ref)
            if body is not None:
                unlisted[ref] = _version_only(body)
        newer: dict[EntityRef, Body] = {}
        first = self._finished is None
        for kind in KINDS.values():
            for namespace in self._namespaces:
                async for body in self._api.list(kind, namespace):
                    ref = ref_of(kind, body)
                    unlisted.pop(ref, None)
                    if not self._has(ref, body):
                        newer[ref] = _version_only(body)
                    elif not first:  # what was just sighted for the first time is under way
                        self._watching.reconsider(ref)
        missed = await self._confirm(newer, unlisted)
        for kind in KINDS.values():
            self._metrics.watch_missed(kind.aggregate_type, missed[kind.aggregate_type])
        if missed:
            _log.warning("watches missed objects", missed=dict(missed))
        self._deaf = frozenset(missed)
        self._finished = monotonic()

    async def _confirm(
        self, newer: dict[EntityRef, Body], unlisted: dict[EntityRef, Body]
    ) -> Counter[str]:
        """Wait as long as the watches are catching up; read what they did not deliver."""
        waiting = len(newer) + len(unlisted) + 1
        while 0 < len(newer) + len(unlisted) < waiting:
            waiting = len(newer) + len(unlisted)
            await asyncio.sleep(self._grace)
            newer = {ref: body for ref, body in newer.items() if not self._has(ref, body)}
            unlisted = {ref: body for ref, body in unlisted.items() if self._still_has(ref, body)}
        missed: Counter[str] = Counter()
        for ref in {**newer, **unlisted}:
            # Not what was listed: it is old by now, and the object may even have been released.
            if self._take(ref, await self._api.get(ref)):
                missed[ref.aggregate_type] += 1
        return missed

    def _take(self, ref: EntityRef, body: Body | None) -> bool:
        """Bring what is known up to date with the API server; whether it had been behind."""
        known = self._watching.known(ref)
        if body is None:
            if known is None:
                return False
            self._watching.vanished(ref, known)
            return True
        if self._has(ref, body):
            return False
        self._watching.observe(ref, body)
        return True

    def _has(self, ref: EntityRef, body: Mapping[str, Any]) -> bool:
        known = self._watching.known(ref)
        return known is not None and is_current(known, body)

    def _still_has(self, ref: EntityRef, body: Mapping[str, Any]) -> bool:
        known = self._watching.known(ref)
        return known is not None and known["metadata"]["uid"] == body["metadata"]["uid"]


def _version_only(body: Body) -> Body:
    metadata = body["metadata"]
    return {"metadata": {name: metadata[name] for name in ("uid", "resourceVersion")}}
