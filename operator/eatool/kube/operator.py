"""The operator of one process: sightings in, reconciles out, and what keeps both honest."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from time import time
from typing import Any

from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntityKind
from eatool.kube.announcing import Announcer
from eatool.kube.api import EntityApi
from eatool.kube.credentials import api_client
from eatool.kube.objects import Objects, is_terminating, ref_of
from eatool.kube.published import Progress, Publication
from eatool.kube.reconcile import Reconciler
from eatool.kube.resync import Resync
from eatool.kube.supervision import keep_running
from eatool.kube.tail import LogTail
from eatool.kube.workqueue import WorkQueue
from eatool.publishing.required import RequiredBrokers
from eatool.registry.service import Entrance
from eatool.settings import Settings
from eatool.store.port import EventStore
from eatool.telemetry.metrics import ReconcileMetrics

Body = dict[str, Any]


class Operator:
    """Everything between kopf's watches and the registry; lives in kopf's event loop."""

    def __init__(
        self,
        settings: Settings,
        registry: Entrance,
        store: EventStore,
        metrics: ReconcileMetrics,
        *,
        required: RequiredBrokers,
        checkpoints: Progress,
        beside: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
    ) -> None:
        """``required`` and ``checkpoints``: the brokers that ``Published`` speaks of.

        ``beside``: parts by name that have to run in the event loop of the registry.
        """
        self._settings = settings
        self._registry = registry
        self._store = store
        self._metrics = metrics
        self._required = required
        self._checkpoints = checkpoints
        self._beside = beside or {}
        self._objects = Objects()
        self._tasks: list[asyncio.Task[None]] = []
        self._api_client: Any = None
        self._queue: WorkQueue[EntityRef] | None = None
        self._resync: Resync | None = None

    @property
    def clusterwide(self) -> bool:
        """All namespaces are watched."""
        return not self._settings.namespaces

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The watched ones, empty for all."""
        return self._settings.namespaces

    @property
    def queue(self) -> WorkQueue[EntityRef]:
        """The work queue; exists once the operator has started."""
        if self._queue is None:
            raise RuntimeError("the operator has not started")
        return self._queue

    async def start(self) -> None:
        """Begin to work; called in kopf's loop, before its watches open."""
        queue: WorkQueue[EntityRef] = WorkQueue()
        self._queue = queue
        self._api_client = await api_client()
        api = EntityApi(self._api_client, self._metrics.api_request)
        publication = Publication(self._required, self._checkpoints, queue.add)
        reconciler = Reconciler(
            self._registry,
            api,
            self._objects,
            queue,
            self._metrics,
            actor_stamped=self._settings.trusted_actor_annotation,
            recheck=self._settings.reference_retry,
            announce=Announcer(api),
            publication=publication,
        )
        self._resync = Resync(self, api, self._metrics, self._settings)
        tail = LogTail(self._store, self._registry.arrivals)
        self._registry.arrivals.on_wake(self._wake)
        self._metrics.concurrency_limit(self._settings.workers)

        async def work() -> None:
            await queue.run(reconciler.process, self._settings.workers)

        self._tasks = [
            asyncio.create_task(keep_running("queue", work)),
            asyncio.create_task(keep_running("resync", self._resync.run)),
            asyncio.create_task(keep_running("tail", tail.run)),
            asyncio.create_task(keep_running("publication", publication.run)),
            asyncio.create_task(keep_running("gauges", self._gauge)),
            *(asyncio.create_task(keep_running(*each)) for each in self._beside.items()),
        ]

    async def stop(self) -> None:
        """End all work; what was under way is found again from the log on the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._api_client is not None:
            await self._api_client.close()

    def sighted(self, kind: EntityKind, event_type: str | None, body: Body) -> None:
        """The watch delivered a version of an object (``event_type`` None: initial listing)."""
        self._metrics.watch_event(kind.aggregate_type, time())
        ref = ref_of(kind, body)
        if event_type == "DELETED":
            self.vanished(ref, body)
            return
        self.observe(ref, body)

    def observe(self, ref: EntityRef, body: Body) -> None:
        """Take note of a version of an object and reconcile it when that is called for."""
        if is_terminating(body):
            # Known early, so that objects deleted together do not block each other.
            self._registry.pending.terminate(ref)
        elif self._objects.is_gone(ref):
            # Created again before the deletion was recorded: nobody may count on it any more.
            self._registry.pending.settle(ref)
        if self._objects.observe(ref, body):
            self.queue.add(ref)

    def vanished(self, ref: EntityRef, body: Body) -> None:
        """Take note that an object is gone, and record it if nobody has."""
        if self._objects.vanished(ref, body):
            self._registry.pending.terminate(ref)
            self.queue.add(ref)

    def refs(self) -> Collection[EntityRef]:
        """Every object the operator knows to exist."""
        return [ref for ref in self._objects if not self._objects.is_gone(ref)]

    def known(self, ref: EntityRef) -> Body | None:
        """The newest body the operator has."""
        return self._objects.get(ref)

    def reconsider(self, ref: EntityRef) -> None:
        """Reconcile whether or not anything called for it."""
        self._objects.distrust(ref)
        self.queue.add(ref)

    def watches_alive(self) -> str | None:
        """``None`` when the last resync found nothing the watches should have delivered."""
        if self._resync is None:
            return "not started"
        return self._resync.complaint()

    def _wake(self, refs: Collection[EntityRef]) -> None:
        for ref in refs:
            if self._objects.get(ref) is not None:
                self.queue.add(ref)

    async def _gauge(self) -> None:
        depths: Counter[str] = Counter()
        pending: Counter[tuple[str, str]] = Counter()
        while True:
            depths = Counter(dict.fromkeys(depths, 0))
            depths.update(ref.aggregate_type for ref in self.queue.queued)
            for entity, depth in depths.items():
                self._metrics.queued(entity, depth)
            pending = Counter(dict.fromkeys(pending, 0))
            pending.update(self._registry.arrivals.pairs())
            for (entity, referenced), objects in pending.items():
                self._metrics.references_pending(entity, referenced, objects)
            await asyncio.sleep(1)
