"""A rollout in miniature: the machine, a ledger in memory and a world that does as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from eatool.rollout import effective
from eatool.rollout.actions import Abort, Action, Commit, DropLegacyTable, Prepare
from eatool.rollout.criteria import Outcome, Result, demand
from eatool.rollout.declared import CriterionSpec, EventSourcingRolloutSpec
from eatool.rollout.gates import Approval
from eatool.rollout.ledger import (
    Preparation,
    Replica,
    Standing,
    TransitionRecord,
    TransitionResult,
    Trigger,
)
from eatool.rollout.looking import Seen
from eatool.rollout.machine import Decision, decide
from eatool.rollout.phases import Phase
from eatool.rollout.status import RolloutStatus

START = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
KIND = "application"
PARITY = {"name": "parity", "metric": "ParityMismatches", "op": "==", "threshold": "0"}


def spec(target: str = "AsyncCommands", **more: Any) -> EventSourcingRolloutSpec:
    return EventSourcingRolloutSpec.model_validate(
        {"entityKind": "Application", "targetPhase": target, **more}
    )


def step(to: str, *criteria: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A transition that goes by itself, after no soak."""
    return {"to": to, "criteria": criteria, "soakTime": "0s", "autoPromote": True, **more}


@dataclass
class World:
    """Everything around the machine."""

    spec: EventSourcingRolloutSpec
    phase: Phase = Phase.LEGACY
    epoch: int = 1
    now: datetime = START
    announced: int = 1
    since: datetime = START
    preparation: Preparation | None = None
    status: RolloutStatus | None = None
    history: list[TransitionRecord] = field(default_factory=list)
    #: Outcomes by criterion; what is not named passes.
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    watched: dict[str, Outcome] = field(default_factory=dict)
    others: dict[str, Standing] = field(default_factory=dict)
    approvals: list[Approval] = field(default_factory=list)
    author: str = "unknown"
    undrained: str | None = None
    unsafe: str | None = None
    compared: bool = True
    retired_table: str | None = None
    #: Whether replicas by name answer at once, never, or are dead.
    replicas: dict[str, str] = field(default_factory=lambda: {"pod-1": "answers"})

    @property
    def standing(self) -> Standing:
        return Standing(KIND, self.phase, self.epoch, self.since, self.preparation)

    def seen(self) -> Seen:
        found = effective.step(self.spec, self.phase)
        guard = effective.guard(self.spec, self.phase)
        return Seen(
            now=self.now,
            standing=self.standing,
            others=self.others,
            replicas=[self._replica(name, how) for name, how in self.replicas.items()],
            history=self.history,
            criteria=self._results(found.criteria if found else (), self.outcomes),
            rollback_criteria=self._results(guard.criteria, self.watched),
            approvals=self.approvals,
            author=self.author,
            undrained=self.undrained,
            unsafe=self.unsafe,
            compared=self.compared,
            retired_table=self.retired_table if self.phase is Phase.RETIRED else None,
        )

    def _replica(self, name: str, how: str) -> Replica:
        acked = self.announced if how == "answers" else self.epoch
        return Replica(name, acked, self.now, how != "dead")

    def _results(
        self, criteria: Sequence[CriterionSpec], outcomes: dict[str, Outcome]
    ) -> list[Result]:
        return [
            Result(
                each.name,
                outcomes.get(each.name, Outcome.PASS),
                demand(each),
                0.0,
                1,
                dry_run=bool(each.dry_run),
            )
            for each in criteria
        ]

    def look(self, **later: float) -> Decision:
        """One round, ``later``; nothing is carried out."""
        self.now += timedelta(**later)
        decision = decide(self.spec, self.status, self.seen())
        self.status = RolloutStatus.from_json(decision.status.to_json())
        return decision

    def round(self, **later: float) -> Decision:
        """One round, and its action carried out."""
        decision = self.look(**later)
        self.carry_out(decision.action)
        return decision

    def rounds(self, count: int, **each: float) -> Decision:
        for _ in range(count):
            decision = self.round(**each)
        return decision

    def carry_out(self, action: Action | None) -> None:
        match action:
            case Prepare(to, cause):
                assert self.preparation is None
                assert self.phase.refusal(to) is None
                self.announced += 1
                self.preparation = Preparation(to, self.announced, self.now, cause)
            case Commit(epoch):
                assert self.preparation is not None
                assert self.preparation.epoch == epoch > self.epoch
                up = self.preparation.to.number > self.phase.number
                result = TransitionResult.PROMOTED if up else TransitionResult.ROLLED_BACK
                self._end(result)
                self.phase, self.epoch, self.since = self._prepared.to, epoch, self.now
                self.preparation = None
            case Abort(epoch):
                assert self.preparation is not None
                assert self.preparation.epoch == epoch
                self._end(TransitionResult.ABORTED)
                self.preparation = None
            case DropLegacyTable(table):
                assert table == self.retired_table
                self.retired_table = None
            case None:
                pass

    @property
    def _prepared(self) -> Preparation:
        assert self.preparation is not None
        return self.preparation

    def _end(self, result: TransitionResult) -> None:
        prepared = self._prepared
        self.history.insert(
            0,
            TransitionRecord(
                KIND,
                prepared.epoch,
                result,
                self.phase,
                prepared.to,
                prepared.since,
                self.now,
                prepared.cause,
            ),
        )

    def declare(self, **changes: Any) -> None:
        self.spec = self.spec.model_copy(update=changes)

    def approve(self, gate: str, actor: str = "jane", **more: Any) -> None:
        assert self.status is not None
        assert self.status.transition is not None
        self.approvals.append(Approval(self.status.transition.id, gate, actor, "spec", **more))

    def other(self, kind: str, phase: Phase) -> None:
        self.others[kind] = replace(Standing(kind, phase, 1, START))

    @property
    def trigger(self) -> Trigger:
        return self.history[0].cause.trigger
