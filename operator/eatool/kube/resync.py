"""Lists everything now and then, and compares it with what the watches delivered.

Watches go deaf in the field while the process looks healthy (nolar/kopf#585, #955, #996). A
listing shows it: an object that has been newer on the API server than here for a while was not
delivered. Such objects are taken from the listing, counted, and readiness says so.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, Protocol

import structlog

from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.kube.api import ApiUnavailable, EntityApi
from eatool.kube.objects import ref_of
from eatool.settings import Settings
from eatool.telemetry.metrics import ReconcileMetrics

Body = dict[str, Any]

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.resync")

#: What the watches may lag behind a listing before they are called deaf, seconds.
_GRACE = 10.0


class Watching(Protocol):
    """The operator, as far as the resync needs it."""

    def known(self, ref: EntityRef) -> Body | None:
        """The newest body it has."""
        ...

    def observe(self, ref: EntityRef, body: Body) -> None:
        """Take note of a version of an object."""
        ...

    def reconsider(self, ref: EntityRef) -> None:
        """Reconcile in any case."""
        ...


class Resync:
    """Periodic full comparison, one kind after the other."""

    def __init__(
        self, watching: Watching, api: EntityApi, metrics: ReconcileMetrics, settings: Settings
    ) -> None:
        self._watching = watching
        self._api = api
        self._metrics = metrics
        self._interval = settings.resync_interval
        self._namespaces: tuple[str | None, ...] = settings.namespaces or (None,)
        self._finished: float | None = None
        self._deaf: frozenset[str] = frozenset()

    def complaint(self) -> str | None:
        """What is wrong with the watches, if anything."""
        if self._finished is None:
            return "the first comparison with a listing has not finished"
        if monotonic() - self._finished > 2 * self._interval + _GRACE:
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
                await asyncio.sleep(min(30.0, self._interval))
                continue
            await asyncio.sleep(self._interval)

    async def once(self) -> None:
        """One comparison of all kinds."""
        suspicious: list[tuple[EntityKind, EntityRef, Body]] = []
        first = self._finished is None
        for kind in KINDS.values():
            for namespace in self._namespaces:
                async for body in self._api.list(kind, namespace):
                    ref = ref_of(kind, body)
                    if self._is_current(ref, body):
                        if not first:  # what was just sighted for the first time is under way
                            self._watching.reconsider(ref)
                    else:
                        suspicious.append((kind, ref, body))
        missed = await self._confirm(suspicious) if suspicious else {}
        for kind in KINDS.values():
            self._metrics.watch_missed(kind.aggregate_type, missed.get(kind.aggregate_type, 0))
        if missed:
            _log.warning("watches missed objects", missed=missed)
        self._deaf = frozenset(missed)
        self._finished = monotonic()

    async def _confirm(
        self, suspicious: list[tuple[EntityKind, EntityRef, Body]]
    ) -> dict[str, int]:
        await asyncio.sleep(_GRACE)
        missed: dict[str, int] = {}
        for kind, ref, body in suspicious:
            if not self._is_current(ref, body):
                missed[kind.aggregate_type] = missed.get(kind.aggregate_type, 0) + 1
                self._watching.observe(ref, body)
        return missed

    def _is_current(self, ref: EntityRef, body: Body) -> bool:
        known = self._watching.known(ref)
        if known is None:
            return False
        ours, theirs = known["metadata"], body["metadata"]
        if ours["uid"] != theirs["uid"]:
            return False
        return int(ours["resourceVersion"]) >= int(theirs["resourceVersion"])
