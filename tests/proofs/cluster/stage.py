"""The cluster, the database beside it, everybody who writes, and what must hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from click.testing import CliRunner
from sqlalchemy import select, update
from tests.operator.operators import until
from tests.operator.rollout_site import RolloutSite
from tests.proofs.cluster.marks import Owed, column, told
from tests.proofs.cluster.old_team import OldTeam
from tests.proofs.cluster.operators import MortalOperator
from tests.proofs.cluster.people import People
from tests.proofs.sides import Side, difference, legacy_side, log_sides, read_side

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS, by_kind
from eatool.kube.rollout.cli import rollout
from eatool.projections.tables import READ_TABLES
from eatool.rollout.ledger import Standing, TransitionResult
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.machine import RETRY_AFTER
from eatool.rollout.parity_tables import parity_finding
from eatool.rollout.phases import Phase
from eatool.rollout.tables import rollout_history
from eatool.store.clock import utc_now
from eatool.store.port import RecordedEvent
from eatool.store.sql.engine import reading
from eatool.store.sql.log import SqlEventStore

SERVER, APPLICATION = by_kind("Server"), by_kind("Application")
#: Those that go all the way; the others stay in DualWrite.
WALKERS = (SERVER, APPLICATION)

_PARKED = {"name": "parked", "metric": "ParkedStreams", "op": "==", "threshold": "0"}
_SOON = {"autoPromote": True, "soakTime": "2s"}
#: As by default but for the soak; DualWrite, which has no criteria by default, has one.
_TRANSITIONS = {
    "transitions": [
        {"to": "DualWrite", **_SOON, "criteria": [_PARKED]},
        {"to": "ProjectionOnly", **_SOON},
        {"to": "AsyncCommands", **_SOON},
        {"to": "Retired", "soakTime": "2s"},
    ]
}
_SWEPT_OFTEN = {"parity": {"sweepInterval": "3s"}}


@dataclass
class Stage:
    """``kills``: how often an operator was killed; ``said``: what people were shown."""

    operator: MortalOperator
    people: People
    old: OldTeam
    rollouts: RolloutSite
    store: SqlEventStore
    kills: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.people.site.namespace

    def standing(self, kind: EntityKind) -> Standing:
        return SqlLedger(self.store).standings()[kind.aggregate_type]

    # -- rollouts ------------------------------------------------------------------------------

    def declare(self, target: Phase) -> None:
        """A rollout of each kind."""
        for kind in KINDS.values():
            often = _SWEPT_OFTEN if kind in WALKERS else {}
            self.rollouts.declare(kind.kind, target, **_TRANSITIONS, **often)

    def aim(self, target: Phase, *kinds: EntityKind) -> None:
        for kind in kinds:
            self.rollouts.change(kind.kind, targetPhase=target.value)

    def arrive(self, phase: Phase, *kinds: EntityKind) -> None:
        """Wait until they are there, and nobody has anything left to do."""
        for kind in kinds:

            def is_there(kind: EntityKind = kind) -> bool:
                self._hurry(kind)
                status = self.rollouts.status(kind.kind)
                return (status.get("phase"), status.get("state")) == (phase.value, "Complete")

            until(is_there, f"{kind.kind} arrives at {phase}", seconds=120, pause=0.2)

    def _hurry(self, kind: EntityKind) -> None:
        """An attempt that was given up is tried again after a minute: have it pass."""
        waiting = any(
            each.result is TransitionResult.ABORTED and utc_now() - each.finished_at < RETRY_AFTER
            for each in SqlLedger(self.store).history(kind.aggregate_type, 1)
        )
        if waiting:
            self.an_hour_passes(kind)

    def move(self, to: Phase, *kinds: EntityKind) -> None:
        self.aim(to, *kinds)
        self.arrive(to, *kinds)

    def await_kill(self, to: Phase) -> None:
        """The operator dies while it takes the servers there: the old phase holds."""
        before = self.standing(SERVER)
        self.operator.await_death()
        self.kills += 1
        found = self.standing(SERVER)
        assert (found.phase, found.epoch, found.preparing) == (before.phase, before.epoch, to)

    def shows(self, *arguments: str) -> str:
        """What ``eatool rollout`` prints."""
        answer = CliRunner().invoke(rollout, arguments)
        assert answer.exit_code == 0, answer.output
        self.said.append(f"$ eatool rollout {' '.join(arguments)}\n{answer.output}")
        return str(answer.output)

    def lists(self) -> dict[str, dict[str, str]]:
        """What ``kubectl get esr`` prints, by name and column."""
        self.said.append(f"$ kubectl get esr\n{self.rollouts.kubectl('get', 'esr')}")
        return self.rollouts.rows()

    def an_hour_passes(self, kind: EntityKind) -> None:
        """Since the last transition, and since the last mismatch was confirmed."""
        hour = timedelta(hours=1)
        newest = SqlLedger(self.store).history(kind.aggregate_type, 1)[0]
        with self.store.transaction() as connection:
            connection.execute(
                update(rollout_history)
                .where(
                    rollout_history.c.aggregate_type == kind.aggregate_type,
                    rollout_history.c.epoch == newest.epoch,
                )
                .values(finished_at=newest.finished_at - hour)
            )
            connection.execute(
                update(parity_finding)
                .where(parity_finding.c.aggregate_type == kind.aggregate_type)
                .where(parity_finding.c.confirmed_at.is_not(None))
                .values(confirmed_at=newest.finished_at - hour)
            )

    # -- what must hold ------------------------------------------------------------------------

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nobody writes."""
        with ExitStack() as stack:
            stack.enter_context(self.people.busy.paused())
            stack.enter_context(self.old.busy.paused())
            yield

    def agree(self, *kinds: EntityKind, but_dirt: bool = False) -> dict[str, Side]:
        """Legacy table, read table and log come to agree to the last field, and owe nothing."""
        with self.quiet():
            owed = {
                key: mark
                for key, mark in (self.people.owed | self.old.owed).items()
                if KINDS[key[0]] in kinds
            }
            self._await_repairs(owed)
            sides: dict[str, Side] = {}
            why = ""

            def holds() -> bool:
                nonlocal why
                logs = log_sides(self.store, self.namespace, kinds)
                for kind in kinds:
                    but = self.old.dirt[kind.aggregate_type] if but_dirt else ()
                    log = sides[kind.aggregate_type] = logs[kind.aggregate_type]
                    legacy = legacy_side(self.store.engine, kind, but=but)
                    read = read_side(self.store.engine, kind, self.namespace)
                    if not legacy == read == log:
                        why = f"{kind.kind}: {difference([legacy, read, log])}"
                        return False
                return True

            until(holds, lambda: f"all sides agree; {why}", seconds=90)
            assert told(owed, sides) == owed
            return sides

    def _await_repairs(self, owed: Owed) -> None:
        """Until the read tables say what is owed: that is cheaper to ask than to compare."""
        left = dict(owed)

        def settled() -> bool:
            for kind, name in list(left):
                if self._read(KINDS[kind], name) == left[kind, name]:
                    del left[kind, name]
            return not left

        until(settled, lambda: f"owed: {sorted(left.items())[:5]}", seconds=90)

    def _read(self, kind: EntityKind, name: str) -> str | None:
        table = READ_TABLES[kind.aggregate_type].table
        query = select(table.c[column(kind)]).where(
            table.c.namespace == self.namespace, table.c.id == name, table.c.deleted_at.is_(None)
        )
        with reading(self.store.engine).connect() as connection:
            found: str | None = connection.scalar(query)
        return found

    def events(self, *, after: int = 0, of: Collection[EntityKind] = ()) -> list[RecordedEvent]:
        """Of the entities of a kind, without transitions."""
        found = self.store.read_all(after=after, limit=100_000)
        prefixes = tuple(
            f"{kind.aggregate_type}/{self.namespace}/" for kind in of or KINDS.values()
        )
        return [event for event in found if event.stream_id.startswith(prefixes)]

    def head(self) -> int:
        return self.store.head().position
