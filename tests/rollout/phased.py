"""A registry under rollout, complete: log, legacy tables, ledger, queue, verifier, follower."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, text
from tests.legacy.landscape import create_tables

from eatool.commands.intake import CommandIntake
from eatool.commands.port import PENDING
from eatool.commands.results import Awaiting
from eatool.commands.sql import SqlCommandQueue
from eatool.commands.worker import TryLater
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS
from eatool.legacy.adoption import adopt
from eatool.legacy.rows import canonical
from eatool.legacy.writing import LegacyRows
from eatool.projections.following import Follower
from eatool.projections.tables import READ_TABLES
from eatool.registry.change import Change
from eatool.registry.folding import fold_events
from eatool.registry.opening import OpenRegistry, open_registry
from eatool.registry.service import Appender
from eatool.rollout.appending import LegacyWriter
from eatool.rollout.comparison import plain
from eatool.rollout.draining import Draining
from eatool.rollout.feed import FollowedByPhase, InlineByPhase
from eatool.rollout.findings import Findings
from eatool.rollout.followed import FollowedKinds
from eatool.rollout.gate import Gate
from eatool.rollout.ledger import Cause, Standing, Trigger
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.parity import Verifier
from eatool.rollout.phases import Phase
from eatool.rollout.registry import PhasedRegistry
from eatool.rollout.repair import Repair
from eatool.rollout.sweep import Sweeper
from eatool.rollout.view import PhaseView
from eatool.store.port import Append, Appended, StaleEpoch, StoreError
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

CAUSE = Cause(Trigger.COMMAND, "a test")
KIND = KINDS["organization"]


class LateStandings:
    """The view of a store that is made before its ledger."""

    def __init__(self) -> None:
        self.view: PhaseView | None = None

    def of(self, aggregate_type: str) -> Standing | None:
        return self.all().get(aggregate_type)

    def all(self) -> dict[str, Standing]:
        return {} if self.view is None else dict(self.view.all())


class Failing:
    """An appender that fails as often as it is told to."""

    def __init__(self, inner: Appender) -> None:
        self._inner = inner
        self.failures: list[StoreError] = []

    async def append(self, *appends: Append) -> Appended:
        if self.failures:
            raise self.failures.pop()
        return await self._inner.append(*appends)


@dataclass
class Site:
    """One process; ``generation`` counts the changes that are made here."""

    opened: OpenRegistry
    registry: PhasedRegistry
    view: PhaseView
    ledger: SqlLedger
    gate: Gate
    queue: SqlCommandQueue
    findings: Findings
    verifier: Verifier
    sweeper: Sweeper
    follower: Follower
    followed: FollowedKinds
    failing: Failing
    legacy: LegacyWriter
    draining: Draining
    generation: int = field(default=0)

    @property
    def store(self) -> SqlEventStore:
        return self.opened.store

    def change(self, of: str, **spec: Any) -> Change:
        self.generation += 1
        ref = KIND.ref("default", of)
        return Change(ref=ref, uid=f"uid-{of}", generation=self.generation, spec=spec)

    async def enter(self, phase: Phase) -> Standing:
        """Walk to ``phase``, step by step, as the machine does when everybody is ready."""
        while (standing := self.ledger.standings()[KIND.aggregate_type]).phase is not phase:
            up = phase.number > standing.phase.number
            to = standing.phase.next if up else standing.phase.previous
            assert to is not None
            begun = self.ledger.begin(KIND.aggregate_type, to, CAUSE)
            assert begun.preparation is not None
            self.view.refresh()
            for _ in range(200):
                await self.gate.acknowledge()
                self.view.refresh()
                (me,) = (
                    each
                    for each in self.ledger.replicas(KIND.aggregate_type)
                    if each.name == self.view.replica
                )
                if me.acked_epoch == begun.preparation.epoch:
                    break
                await self.verifier.once()
                while self.follower.step():
                    pass
            else:
                raise AssertionError("nobody acknowledged")
            if to is Phase.RETIRED:
                await self.verifier.once()
            self.ledger.commit(KIND.aggregate_type, begun.preparation.epoch)
            self.view.refresh()
            self.followed.once()
        return standing

    async def work(self) -> int:
        """Work off what is due in the queue; how many commands ended."""
        done = 0
        for leased in self.queue.claim("worker", 30.0, 100):
            try:
                result = await self.registry.process(leased.command)
                self.queue.finish(leased, result)
                done += not isinstance(result, Awaiting)
            except TryLater as later:
                self.queue.retry(leased, 0.0, str(later))
        return done

    async def settle(self) -> None:
        """Let everything that follows by itself happen."""
        self.followed.once()
        for _ in range(30):
            waiting = [each.command.stream_id for each in self.queue.find(states=PENDING)]
            self.queue.wake(waiting)
            worked = await self.work()
            followed = 0
            while step := self.follower.step():
                followed += step
            differing = await self.sweeper.whole(KIND.aggregate_type)
            left = await self.verifier.once()
            refused = len(self.findings.open(KIND.aggregate_type))
            if not (worked or followed or left) and differing == refused:
                return
        raise AssertionError(f"never settles: {self.findings.open(KIND.aggregate_type)}")

    # -- the three sides ---------------------------------------------------------------------

    def legacy_side(self) -> dict[str, dict[str, Any]]:
        with self.store.engine.connect() as connection:
            rows = LegacyRows(connection).page(KIND.aggregate_type, limit=10_000)
        return {row.id: plain(canonical(KIND, row.values)) for row in rows if not row.deleted}

    def read_side(self) -> dict[str, dict[str, Any]]:
        read = READ_TABLES[KIND.aggregate_type]
        with self.store.engine.connect() as connection:
            query = select(read.table).where(read.table.c.deleted_at.is_(None))
            rows = connection.execute(query).mappings().all()
        return {
            row["id"]: plain(KIND.spec.model_validate(read.spec_fields(row), by_name=True))
            for row in rows
            if row["namespace"] == "default"
        }

    def log_side(self) -> dict[str, dict[str, Any]]:
        events = self.store.read_all(limit=100_000)
        streams = {each.stream_id for each in events if each.stream_id.startswith("organization/")}
        folded = {
            EntityRef.parse(each).name: fold_events(
                EntityRef.parse(each), self.store.read_stream(each)
            ).state.spec
            for each in streams
        }
        return {
            name: spec.model_dump(mode="json", by_alias=False)
            for name, spec in folded.items()
            if spec is not None
        }

    def write(self, statement: str, **values: Any) -> None:
        """As the legacy application does."""
        with self.store.engine.begin() as connection:
            connection.execute(text(statement), values)

    def insert(self, name: str, title: str) -> None:
        self.write("INSERT INTO organizations (id, name) VALUES (:id, :name)", id=name, name=title)

    def rename(self, name: str, title: str) -> None:
        self.write("UPDATE organizations SET name = :name WHERE id = :id", id=name, name=title)


def make_old_registry(url: str) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        create_tables(connection)
    adopt(engine, [KIND])
    engine.dispose()


Make = Callable[..., Any]


@asynccontextmanager
async def site(
    url: str, *, replica: str = "one", patience: float = 5.0, enrolled: bool = True
) -> AsyncIterator[Site]:
    """A process on an adopted registry, with organizations under rollout unless told otherwise."""
    late = LateStandings()
    failing: list[Failing] = []

    def around(appender: Appender) -> Appender:
        failing.append(Failing(appender))
        return failing[-1]

    opening = open_registry(
        url, around=around, inline=lambda _engine: [InlineByPhase(late, "default")]
    )
    async with opening as opened:
        store, engine = opened.store, opened.store.engine
        ledger = SqlLedger(store)
        if enrolled:
            ledger.enroll(KIND.aggregate_type, CAUSE)
        view = late.view = PhaseView(ledger, replica)
        view.refresh()
        queue, findings = SqlCommandQueue(engine), Findings(engine)
        intake = CommandIntake(queue)
        legacy = LegacyWriter(store)
        follower = Follower(store, [FollowedByPhase(view, "default")], owner=replica)
        followed = FollowedKinds(store, view, follower)

        async def settled(standing: Standing) -> bool:
            return await verifier.settled(standing) and await followed.settled(standing)

        gate = Gate(view, patience=patience, settled=settled)
        registry = PhasedRegistry(
            opened.registry,
            opened.appender,
            view=view,
            gate=gate,
            legacy=legacy,
            queue=queue,
            intake=intake,
            namespace="default",
        )
        repair = Repair(registry, legacy, store, "default")
        verifier = Verifier(engine, view, repair, findings, namespace="default", grace=0.0)
        sweeper = Sweeper(engine, view, findings, verifier, namespace="default", chunk=3)
        try:
            yield Site(
                opened,
                registry,
                view,
                ledger,
                gate,
                queue,
                findings,
                verifier,
                sweeper,
                follower,
                followed,
                failing[0],
                legacy,
                Draining(store, findings, verifier.suspects, "default"),
            )
        finally:
            intake.close()
            legacy.close()
            await asyncio.sleep(0)


async def expect_stale(site: Site, awaitable: Any) -> StaleEpoch:
    try:
        await awaitable
    except StaleEpoch as stale:
        return stale
    raise AssertionError("nothing was refused")
