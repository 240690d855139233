"""Everything that one process does for rollouts, put together."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from eatool.commands.intake import CommandIntake
from eatool.commands.sql import SqlCommandQueue
from eatool.commands.worker import Workers
from eatool.domain.kinds import upcast
from eatool.projections.following import Follower
from eatool.projections.tables import PROJECTION
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.lag import LagReader
from eatool.publishing.required import RequiredBrokers, no_brokers
from eatool.registry.opening import OpenRegistry
from eatool.rollout.appending import LegacyWriter
from eatool.rollout.draining import Draining
from eatool.rollout.feed import DEFERRED, FollowedByPhase
from eatool.rollout.findings import Findings
from eatool.rollout.followed import FollowedKinds
from eatool.rollout.gate import Gate
from eatool.rollout.ignoring import Ignored
from eatool.rollout.lease import SqlLease
from eatool.rollout.ledger import Standing
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.measuring import Figures
from eatool.rollout.parity import COMPARED, Verifier
from eatool.rollout.proofs import Proofs
from eatool.rollout.publish_lag import PublishLag
from eatool.rollout.registry import PhasedRegistry
from eatool.rollout.repair import Repair
from eatool.rollout.samples import Samples
from eatool.rollout.shared_samples import SharedSamples
from eatool.rollout.sweep import Sweeper
from eatool.rollout.view import LateView, PhaseView
from eatool.store.port import StoreError
from eatool.telemetry.metrics import LogMetrics, NullMetrics
from eatool.telemetry.recording import MeasuredProjection
from eatool.telemetry.rollout_metrics import RolloutMetrics

_log = logging.getLogger(__name__)

#: Name of the lease of the replica that decides.
LEASE: Final = "rollout"
_RENEW: Final = 3.0
_POLL: Final = 0.5
_GAUGES: Final = 5.0
#: Between two writes of what was observed, so much is lost when a process is killed.
_SHARING: Final = 5.0
_SWEEP: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Outset:
    """What the log is opened with, before there can be a ledger.

    Attributes:
        standings: for :class:`~eatool.rollout.feed.InlineByPhase`.
        samples: what this process observes, and where criteria are answered.

    """

    standings: LateView = field(default_factory=LateView)
    samples: Samples = field(default_factory=Samples)


class RolloutProcess:
    """The parts of one process; while no kind is under rollout, one small query a second.

    Args:
        opened: the registry, opened with ``outset``.
        replica: unique among processes.
        namespace: the one whose entities have legacy rows.
        log_metrics: told of events that are applied behind the log.
        required: brokers that must get the events; none by default.

    """

    def __init__(
        self,
        opened: OpenRegistry,
        outset: Outset,
        metrics: RolloutMetrics,
        *,
        replica: str,
        namespace: str,
        log_metrics: LogMetrics | None = None,
        required: RequiredBrokers | None = None,
    ) -> None:
        store, engine = opened.store, opened.store.engine
        self._store = store
        self._metrics = metrics
        self.samples = outset.samples
        self.namespace = namespace
        self.ledger = SqlLedger(store)
        self.view = PhaseView(self.ledger, replica)
        outset.standings.bind(self.view)
        self.queue = SqlCommandQueue(engine)
        self._intake = CommandIntake(self.queue)
        self.findings = Findings(engine)
        self._legacy = LegacyWriter(store)
        measured = log_metrics or NullMetrics()
        self._follower = Follower(
            store,
            [MeasuredProjection(FollowedByPhase(self.view, namespace), measured)],
            owner=replica,
            upcast=upcast,
            failed=lambda: measured.projection_failed(PROJECTION),
        )
        self._followed = FollowedKinds(store, self.view, self._follower)
        self.registry = PhasedRegistry(
            opened.registry,
            opened.appender,
            view=self.view,
            gate=Gate(self.view, settled=self._settled),
            legacy=self._legacy,
            queue=self.queue,
            intake=self._intake,
            namespace=namespace,
        )
        #: Rules that excuse differences, by aggregate type; set by whoever decides, while this
        #: process leads. A kind that is missing is not judged: its rules are not known.
        self.ignored: dict[str, Ignored] = {}
        #: Seconds in which every row is compared once, likewise.
        self.sweeps: dict[str, float] = {}
        self._verifier = Verifier(
            engine,
            self.view,
            Repair(self.registry, self._legacy, store, namespace),
            self.findings,
            namespace=namespace,
            ignored=self.ignored,
        )
        self._sweeper = Sweeper(
            engine,
            self.view,
            self.findings,
            self._verifier,
            namespace=namespace,
            interval=lambda kind: self.sweeps.get(kind, _SWEEP),
        )
        #: What has to be finished before another side decides.
        self.draining = Draining(store, self.findings, self._verifier.suspects, namespace)
        self._workers = Workers(self.queue, self.registry.process, worker=replica, metrics=metrics)
        self._lease = SqlLease(engine, LEASE, replica)
        self._proofs = Proofs(store, self.view)
        #: Set when there is something to decide; kinds under rollout are reason enough.
        self.candidate = threading.Event()
        self._leads = threading.Event()
        figures = Figures(engine, self.view.of, self.findings, self.queue, _Lag(self))
        figures.supply(self.samples)
        self.samples.supply("RebuildDifferences", self._proofs.reading)
        self._shared = SharedSamples(store, self.samples)
        self._shared.supply()
        self._required = required or no_brokers()
        publishing = PublishLag(
            self._required,
            LagReader(store, SqlCheckpoints(engine)),
            partial(self._shared.read, "PublishLagSecondsP99"),
        )
        self.samples.supply("PublishLagSecondsP99", publishing.reading)
        self.view.on_change(metrics.standing)

    @property
    def leads(self) -> bool:
        """Whether this process decides."""
        return self._leads.is_set()

    @property
    def projection_fails(self) -> bool:
        """Whether the events behind the log cannot be applied by this process."""
        return self._follower.failing

    def lag(self, aggregate_type: str) -> tuple[int, float] | None:
        """Events that the read table has yet to get, and age of the first in seconds.

        Blocks; raises ``StoreError``.
        """
        standing = self.view.of(aggregate_type)
        if standing is None or standing.phase not in DEFERRED:
            return (0, 0.0)
        found = self._follower.lag().get(aggregate_type)
        return None if found is None else (found.events, found.seconds)

    def published(self, broker: str, aggregate_type: str, seconds: float) -> None:
        """A broker has acknowledged an event of the kind, so long after its commit."""
        required = broker in self._required.of_kind(aggregate_type)
        if required and self.view.of(aggregate_type) is not None:
            self.samples.observe("PublishLagSecondsP99", aggregate_type, seconds)

    def start(self) -> None:
        """Learn the phases, and go on learning them; raises ``StoreError``."""
        self.view.start()

    def close(self) -> None:
        """Let nobody wait for this process. The inner registry is closed by its owner."""
        try:
            self._shared.keep()
        except StoreError:
            _log.info("What was observed in the last seconds is lost")
        self.view.close()
        self._intake.close()
        self._legacy.close()

    async def run(self) -> None:
        """Work until cancelled, in the event loop that the registry is used from."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.registry.run())
                tasks.create_task(self._compete())
                tasks.create_task(_while(lambda: bool(self.view.all()), self._serve))
                tasks.create_task(_while(lambda: self.leads, self._lead))
        finally:
            self._leads.clear()
            self._metrics.leading(leads=False)
            try:
                await asyncio.to_thread(self._lease.leave)
            except StoreError:
                _log.info("The lease of rollouts ends by itself")

    # -- parts of it ---------------------------------------------------------------------------

    async def _settled(self, standing: Standing) -> bool:
        return await self._verifier.settled(standing) and await self._followed.settled(standing)

    async def _compete(self) -> None:
        """Hold the lease, or try to, while there is something to do for it."""
        while True:
            held = False
            try:
                called = self.candidate.is_set() or bool(self.view.all())
                held = called and await asyncio.to_thread(self._lease.hold)
            except StoreError as error:
                _log.warning("The lease of rollouts is not held: %s", error)
            if held:
                self._leads.set()
            else:
                self._leads.clear()
                self.ignored.clear()  # they may change unseen until this process leads again
            self._metrics.leading(leads=held)
            await asyncio.sleep(_RENEW if held else _POLL)

    async def _serve(self) -> None:
        """What every process does for kinds under rollout."""
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._workers.run(stopping))
            tasks.create_task(self._follower.run(stopping))
            tasks.create_task(_again(_SHARING, self._share))

    async def _share(self) -> None:
        await asyncio.to_thread(self._shared.keep)

    async def _lead(self) -> None:
        """What one process does for all."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._verifier.run())
            tasks.create_task(self._sweeper.run())
            tasks.create_task(_again(_POLL, self._follow))
            tasks.create_task(_again(_GAUGES, self._gauge))
            tasks.create_task(_again(_POLL, self._proofs.once))

    async def _follow(self) -> None:
        await asyncio.to_thread(self._followed.once)

    async def _gauge(self) -> None:
        for aggregate_type, standing in self.view.all().items():
            await asyncio.to_thread(self._measure, aggregate_type, standing)

    def _measure(self, aggregate_type: str, standing: Standing) -> None:
        if standing.phase in COMPARED:
            self._metrics.parity(
                aggregate_type, self.findings.of(aggregate_type, epoch=standing.epoch)
            )
        figures = self.queue.figures(aggregate_type=aggregate_type, quantiles=())
        self._metrics.command_queue(aggregate_type, figures)


class _Lag:
    """The process's follower as criteria ask for it."""

    def __init__(self, process: RolloutProcess) -> None:
        self._process = process

    def of(self, aggregate_type: str) -> tuple[int, float] | None:
        """See :class:`~eatool.rollout.measuring.Lag`."""
        return self._process.lag(aggregate_type)


async def _while(condition: Callable[[], bool], run: Callable[[], Awaitable[None]]) -> None:
    """Keep ``run`` going for as long as ``condition`` holds."""
    while True:
        if not condition():
            await asyncio.sleep(_POLL)
            continue
        task = asyncio.ensure_future(run())
        try:
            while condition() and not task.done():
                await asyncio.wait([task], timeout=_POLL)
        finally:
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(ended, Exception):
            _log.error("A part of the rollout failed and starts again", exc_info=ended)
            await asyncio.sleep(_POLL)


async def _again(pause: float, look: Callable[[], Awaitable[None]]) -> None:
    """Look again and again; what the database does wrong is told and tried again."""
    while True:
        try:
            await look()
        except StoreError as error:
            _log.warning("%s", error)
        await asyncio.sleep(pause)
