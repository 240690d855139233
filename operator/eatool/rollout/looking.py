"""One look at a rollout: criteria, gates and past are judged, nothing is decided yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from eatool.rollout import effective, gates, soaking
from eatool.rollout.criteria import Result
from eatool.rollout.declared import EventSourcingRolloutSpec
from eatool.rollout.effective import Guard, Step
from eatool.rollout.gates import HELD, LOSSY, PROMOTE, Approval
from eatool.rollout.ledger import (
    Replica,
    Standing,
    TransitionRecord,
    TransitionResult,
    Trigger,
)
from eatool.rollout.phases import Phase
from eatool.rollout.status import CriterionStatus, GateStatus, RolloutStatus


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything a decision looks at besides the spec and the last status.

    Attributes:
        standing: of the kind, from the ledger; so are ``others``, ``replicas`` and ``history``
            (newest first).
        criteria, rollback_criteria: results for :func:`eatool.rollout.effective.step` and
            :func:`eatool.rollout.effective.guard` of the phase.
        approvals: from everywhere: spec, API, annotations.
        author: who changed the spec last, as far as is known.
        undrained: what the transition under way has to wait for, in words (``2 recorded events
            are not in the legacy table yet``); ``None`` when nothing is left.
        unsafe: what going back would lose now, and should have been done by now, likewise.
        compared: whether every row has been compared in this phase.
        retired_table: name of the retired table while it is there.

    """

    now: datetime
    standing: Standing
    others: Mapping[str, Standing] = field(default_factory=dict)
    replicas: Sequence[Replica] = ()
    history: Sequence[TransitionRecord] = ()
    criteria: Sequence[Result] = ()
    rollback_criteria: Sequence[Result] = ()
    approvals: Sequence[Approval] = ()
    author: str = "unknown"
    undrained: str | None = None
    unsafe: str | None = None
    compared: bool = True
    retired_table: str | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """What a look found.

    Attributes:
        before: the last status of this very phase, if there is one.
        step: what leads out of the phase; ``None`` from Retired.
        transition_id: of that step; ``None`` when it is beyond the target, and then there are
            no criteria, gates and soak either.
        demotions, cooling_until: what automatic rollbacks of the past have left.

    """

    before: RolloutStatus | None
    step: Step | None
    guard: Guard
    transition_id: str | None
    criteria: tuple[CriterionStatus, ...]
    rollback_criteria: tuple[CriterionStatus, ...]
    gates: tuple[GateStatus, ...]
    soak_started_at: datetime | None
    demotions: int
    cooling_until: datetime | None


def transition_id(standing: Standing, to: Phase) -> str:
    """What approvals name; another attempt from the same phase keeps it, a new phase does not."""
    kind = standing.aggregate_type.replace("_", "-")
    return f"{kind}-{standing.epoch}-{to.lower()}"


def lossy_gate(standing: Standing, to: Phase, approvals: Sequence[Approval]) -> GateStatus:
    """Whether a person takes the loss of a rollback to ``to``."""
    return gates.manual(LOSSY, transition_id(standing, to), approvals)


def demotions(history: Sequence[TransitionRecord]) -> int:
    """Rollbacks for a failure since a person last had a say; ``history`` is newest first."""
    count = 0
    for record in history:
        if record.result is TransitionResult.ABORTED:
            continue
        released = any(gate.get("name") == HELD for gate in record.cause.gates)
        if released or record.cause.trigger in {Trigger.SPEC, Trigger.COMMAND}:
            break
        count += record.cause.trigger is Trigger.FAILURE
    return count


def look(spec: EventSourcingRolloutSpec, before: RolloutStatus | None, seen: Seen) -> Round:
    """Judge everything there is, whether or not it will matter: people want to see it."""
    standing, now = seen.standing, seen.now
    step, guard = effective.step(spec, standing.phase), effective.guard(spec, standing.phase)
    watched = soaking.statuses(
        guard.criteria, seen.rollback_criteria, before.rollback_criteria if before else (), now
    )
    fallen = demotions(seen.history)
    cooling = _cooling_until(guard, seen)
    if step is None or spec.target_phase.number <= standing.phase.number:
        return Round(before, step, guard, None, (), watched, (), None, fallen, cooling)
    identity = transition_id(standing, step.to)
    judged = soaking.statuses(step.criteria, seen.criteria, before.criteria if before else (), now)
    return Round(
        before,
        step,
        guard,
        identity,
        judged,
        watched,
        _gates(step, identity, held=fallen >= guard.max_demotions, seen=seen),
        soaking.soak_started(identity, judged, before, now),
        fallen,
        cooling,
    )


def _gates(step: Step, identity: str, *, held: bool, seen: Seen) -> tuple[GateStatus, ...]:
    found = [
        gates.look(gate, identity, seen.approvals, seen.others, seen.now) for gate in step.gates
    ]
    implied = [] if step.auto_promote else [PROMOTE]
    implied += [HELD] if held else []
    found += [gates.manual(name, identity, seen.approvals) for name in implied]
    return tuple(found)


def _cooling_until(guard: Guard, seen: Seen) -> datetime | None:
    for record in seen.history:
        if record.result is TransitionResult.ABORTED:
            continue
        until = record.finished_at + guard.cooldown
        failed = record.cause.trigger is Trigger.FAILURE
        return until if failed and until > seen.now else None
    return None
