"""The composition root: which parts one operator process is made of, and their life cycle."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from eatool.api.app import ROUTES, create_app
from eatool.api.health import Check, Health
from eatool.domain.kinds import KINDS
from eatool.kube.handlers import handlers
from eatool.kube.operator import Operator
from eatool.kube.platform.handlers import platform_handlers
from eatool.kube.platform.operator import PlatformOperator
from eatool.kube.rollout.handlers import rollout_handlers
from eatool.kube.rollout.operator import RolloutOperator
from eatool.kube.schema.platform import DECLARED
from eatool.kube.supervision import beside
from eatool.kube.watching import watch
from eatool.projections.tables import PROJECTION
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.required import RequiredBrokers
from eatool.rollout.process import Outset, RolloutProcess
from eatool.settings import Settings, pod_identity
from eatool.starting import opened, reached, served, signed_in
from eatool.store.port import StoreError
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.migrate import is_at_head
from eatool.telemetry.labels import Labels
from eatool.telemetry.logs import configure
from eatool.telemetry.prometheus import PrometheusMetrics
from eatool.telemetry.sampling import sample_projection, sample_store

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.runtime")

#: Longest wait for the first listing of the brokers, seconds.
_BROKERS_KNOWN = 5.0


@dataclass(slots=True)
class Process:
    """What is there so far; probes are answered from the first moment, before the store is."""

    store: SqlEventStore | None = None
    operator: Operator | None = None

    def checks(self) -> dict[str, Check]:
        """Checks of ``/readyz``."""
        return {"store": self._reachable, "migrations": self._migrated, "watches": self._watching}

    async def _reachable(self) -> Health:
        if self.store is None:
            return Health(ok=False, why="not opened yet")
        try:
            await asyncio.to_thread(self.store.head)
        except StoreError as error:
            _log.warning("store unreachable", why=str(error))
            return Health(ok=False, why="unreachable")
        return Health(ok=True)

    async def _migrated(self) -> Health:
        if self.store is None:
            return Health(ok=False, why="not opened yet")
        at_head = await asyncio.to_thread(is_at_head, self.store.engine)
        return Health(at_head, "" if at_head else "run `eatool store migrate`")

    async def _watching(self) -> Health:
        complaint = "not started" if self.operator is None else self.operator.watches_alive()
        return Health(complaint is None, complaint or "")


async def run(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT; raises when a vital part fails.

    ``ConfigurationError`` before anything is started.
    """
    configure(settings.log_level, settings.log_format)
    labels = Labels.of(
        KINDS.values(),
        resources=[resource.plural for resource in DECLARED],
        projections=(PROJECTION,),
        routes=ROUTES,
    )
    metrics = PrometheusMetrics(labels)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    process = Process()
    app = create_app(registry=metrics.registry, metrics=metrics, checks=process.checks())
    await signed_in()
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(served(app, settings))
        outset = Outset()
        log = await opened(stack, settings, metrics, stopping, outset)
        if log is None or not await reached(stopping):
            return
        process.store = log.store
        known = await log.registry.preload(log.entities.pages)
        required = RequiredBrokers()
        rollout = None
        if settings.rollout:
            rollout = RolloutProcess(
                log,
                outset,
                metrics.rollout,
                replica=pod_identity(),
                namespace=settings.legacy_namespace,
                log_metrics=metrics,
                required=required,
            )
            await asyncio.to_thread(rollout.start)
            stack.callback(rollout.close)
        process.operator = Operator(
            settings,
            log.registry if rollout is None else rollout.registry,
            log.store,
            metrics,
            required=required,
            checkpoints=SqlCheckpoints(log.store.engine),
            beside={} if rollout is None else {"rollout": rollout.run},
        )
        platform = PlatformOperator(
            settings,
            log.store,
            required,
            metrics,
            published=None if rollout is None else rollout.published,
        )
        _log.info("ready to watch", entities=known, http_port=port)
        samples = {
            "store samples": partial(sample_store, log, metrics),
            "projection samples": partial(
                sample_projection,
                log,
                metrics,
                failing=lambda: rollout is not None and rollout.projection_fails,
            ),
        }
        for part, sample in samples.items():
            await stack.enter_async_context(beside(part, sample))
        watches = [
            _watch_entities(process.operator, required, stopping),
            watch(
                platform_handlers(platform),
                stopping,
                name="kopf-platform",
                namespaces=(platform.namespace,),
            ),
        ]
        if rollout is not None:
            deciding = RolloutOperator(settings, log.store, rollout, metrics, metrics.rollout)
            watches.append(_watch_rollouts(deciding, stopping))
        await _all(*watches, stopping=stopping)


async def _watch_entities(
    operator: Operator, required: RequiredBrokers, stopping: asyncio.Event
) -> None:
    """Watch the kinds as soon as the brokers are known, or soon after if they cannot be.

    Without them every entity would seem to need no broker, and say so in its status.
    """
    await asyncio.to_thread(required.listed.wait, _BROKERS_KNOWN)
    await watch(handlers(operator), stopping, name="kopf", namespaces=operator.namespaces)


async def _watch_rollouts(operator: RolloutOperator, stopping: asyncio.Event) -> None:
    """Watch the whole cluster for rollouts, if that is allowed."""
    if await operator.is_allowed():
        await watch(rollout_handlers(operator), stopping, name="kopf-rollout", namespaces=())
    else:
        await stopping.wait()


async def _all(*watches: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
    """Until every watch has ended; the first that ends asks the others to, and they drain."""

    async def one(watching: Coroutine[Any, Any, None]) -> None:
        try:
            await watching
        finally:
            stopping.set()

    ends = await asyncio.gather(*map(one, watches), return_exceptions=True)
    for failure in filter(None, ends):
        raise failure
