"""The operator of the platform: brokers, replays and parked streams of its own namespace.

Level-triggered as the registry's half: sightings, relays and a clock only say that an object is
worth a look; the look compares what is declared with what runs and what is in the checkpoints.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from eatool.kube.credentials import api_client
from eatool.kube.platform.announcing import PlatformAnnouncer
from eatool.kube.platform.api import PlatformApi
from eatool.kube.platform.brokers import Brokers
from eatool.kube.platform.observing import BrokerObserver, Published, ReplayObserver
from eatool.kube.platform.parked import ParkedObjects
from eatool.kube.platform.parts import Parts
from eatool.kube.platform.replay_status import ENDED
from eatool.kube.platform.replays import Replays
from eatool.kube.platform.resources import (
    EVENT_BROKER,
    EVENT_REPLAY,
    PARKED_STREAM,
    RESOURCES,
    Body,
    Key,
    Resource,
    checkpoint_of,
    key_of,
)
from eatool.kube.platform.secrets import Secrets
from eatool.kube.platform.sightings import Sightings
from eatool.kube.platform.writing import StatusWriter
from eatool.kube.requests import ApiConflict, ApiUnavailable, NotServed
from eatool.kube.supervision import keep_running
from eatool.kube.workqueue import WorkQueue
from eatool.publishing.assembly import replay_name
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.fleet import Fleet
from eatool.publishing.lag import LagReader
from eatool.publishing.observer import Observer
from eatool.publishing.required import RequiredBrokers
from eatool.settings import Settings, pod_identity
from eatool.store.port import StoreUnavailable
from eatool.store.sql.log import SqlEventStore
from eatool.telemetry.metrics import Metrics

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.platform")

#: Objects looked at at the same time; a look may wait for a relay to end.
_WORKERS = 8
#: How often figures are read, seconds; writes are rarer, see ``writing.INTERVAL``.
_TICK = 1.0
#: Pause until the first listing is tried again, seconds.
_SOON = 2.0


@dataclass(frozen=True, slots=True)
class _Started:
    """What exists once the event loop does."""

    transport: Any
    api: PlatformApi
    parts: Parts
    brokers: Brokers
    replays: Replays
    queue: WorkQueue[Key]


class PlatformOperator:
    """Everything between kopf's second watch and the relays; lives in that kopf's event loop."""

    def __init__(
        self,
        settings: Settings,
        store: SqlEventStore,
        required: RequiredBrokers,
        metrics: Metrics,
        *,
        published: Published | None = None,
    ) -> None:
        """``required`` is kept up to date with the brokers that are declared.

        ``published`` is told of every event that a broker has acknowledged.
        """
        self._settings = settings
        self._store = store
        self._required = required
        self._metrics = metrics
        self._published = published
        self._sightings = Sightings()
        self._tasks: list[asyncio.Task[None]] = []
        self._observers: dict[str, Observer] = {}
        self._material = tempfile.TemporaryDirectory(prefix="eatool-")
        self._started: _Started | None = None

    @property
    def namespace(self) -> str:
        """The only one that is looked at."""
        return self._settings.namespace

    async def start(self) -> None:
        """Begin to work; called in kopf's loop, before its watches open."""
        transport = await api_client()
        api = PlatformApi(transport, self.namespace, self._metrics.api_request)
        announce = PlatformAnnouncer(api)
        checkpoints = SqlCheckpoints(self._store.engine)
        fleet = Fleet(self._store, checkpoints, owner=pod_identity(), observer_of=self._observer_of)
        parts = Parts(
            sightings=self._sightings,
            secrets=Secrets(api),
            writer=StatusWriter(api, self._sightings, announce),
            fleet=fleet,
            checkpoints=checkpoints,
            reader=LagReader(self._store, checkpoints),
            log=self._store,
            environment=self._settings.environment,
            material=Path(self._material.name),
        )
        brokers = Brokers(parts, ParkedObjects(api, parts, announce), self._required, self._metrics)
        replays = Replays(parts, brokers)
        self._started = _Started(transport, api, parts, brokers, replays, WorkQueue())
        self._tasks = [
            asyncio.create_task(keep_running("platform queue", self._work)),
            asyncio.create_task(keep_running("platform clock", self._tick)),
            asyncio.create_task(keep_running("platform resync", self._resync)),
        ]

    async def stop(self) -> None:
        """End all work and all relays, with everything acknowledged written down."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._started is not None:
            await self._started.parts.fleet.stop()
            await self._started.transport.close()
        self._material.cleanup()

    def sighted(self, resource: Resource, event_type: str | None, body: Body) -> None:
        """The watch delivered a version of an object (``event_type`` None: initial listing)."""
        key = key_of(resource, body)
        if event_type == "DELETED":
            self._sightings.vanished(key, body)
            if resource is EVENT_BROKER:
                self._observers.pop(key.name, None)
        elif not self._sightings.observe(key, body):
            return
        self._look(key, body)

    def secret_sighted(self, name: str) -> None:
        """A Secret of the namespace is new, different or gone."""
        if self._running.parts.secrets.changed(name):
            self._look_at_all(EVENT_BROKER, EVENT_REPLAY)

    @property
    def _running(self) -> _Started:
        if self._started is None:
            raise RuntimeError("the operator has not started")
        return self._started

    def _look(self, key: Key, body: Body) -> None:
        queue = self._running.queue
        if key.plural == PARKED_STREAM.plural:
            # Its broker's look compares them all.
            queue.add(Key(EVENT_BROKER.plural, body["spec"]["broker"]))
            return
        queue.add(key)
        if key.plural == EVENT_BROKER.plural:
            self._running.brokers.require()
            for replay in self._sightings.of(EVENT_REPLAY):
                if replay["spec"]["broker"] == key.name:
                    queue.add(key_of(EVENT_REPLAY, replay))

    def _look_at_all(self, *resources: Resource) -> None:
        for resource in resources:
            for body in self._sightings.of(resource):
                self._running.queue.add(key_of(resource, body))

    def _observer_of(self, destination: str) -> Observer:
        """One observer for each destination, whose relay may be replaced many times."""
        if destination not in self._observers:
            queue = self._running.queue
            if destination.startswith(replay_name("")):
                return ReplayObserver(lambda: self._look_at_all(EVENT_REPLAY))
            key = Key(EVENT_BROKER.plural, destination)
            self._observers[destination] = BrokerObserver(
                self._metrics, destination, lambda: queue.add(key), self._published
            )
        return self._observers[destination]

    async def _work(self) -> None:
        await self._running.queue.run(self._process, _WORKERS)

    async def _process(self, key: Key) -> None:
        queue = self._running.queue
        try:
            if key.plural == EVENT_BROKER.plural:
                await self._running.brokers.process(key)
            else:
                await self._running.replays.process(key)
        except ApiConflict:
            queue.retry(key)  # a newer version is on its way
        except ApiUnavailable as error:
            delay = queue.retry(key, not_before=error.retry_after or 0.0)
            _log.warning("API server", why=str(error), object=key.name, next_try_seconds=delay)
        except StoreUnavailable as error:
            queue.retry(key)
            _log.warning("store unavailable", why=str(error), object=key.name)
        except Exception:
            queue.retry(key)
            _log.exception("reconcile failed", resource=key.plural, object=key.name)
        else:
            queue.succeeded(key)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self._look_at_all(EVENT_BROKER)
            for body in self._sightings.of(EVENT_REPLAY):
                if (body.get("status") or {}).get("state") not in ENDED:
                    self._running.queue.add(key_of(EVENT_REPLAY, body))

    async def _resync(self) -> None:
        """See what the watches may have missed, and tidy up behind replays that are gone."""
        while True:
            self._running.parts.secrets.distrust()
            try:
                for resource in RESOURCES:
                    await self._compare(resource)
                    self._required.listed.set()  # the brokers come first
                living = {
                    replay_name(checkpoint_of(body)) for body in self._sightings.of(EVENT_REPLAY)
                }
                await self._running.replays.forget_all_but(living)
            except (ApiUnavailable, StoreUnavailable) as error:
                if isinstance(error, NotServed):
                    self._required.listed.set()  # nobody can have declared anything
                _log.warning("resync put off", why=str(error))
            self._look_at_all(EVENT_BROKER, EVENT_REPLAY)
            known = self._required.listed.is_set()
            await asyncio.sleep(self._settings.resync_interval if known else _SOON)

    async def _compare(self, resource: Resource) -> None:
        before = {key_of(resource, body): body for body in self._sightings.of(resource)}
        async for body in self._running.api.list(resource):
            self.sighted(resource, None, body)
            before.pop(key_of(resource, body), None)
        for body in before.values():
            self.sighted(resource, "DELETED", body)
