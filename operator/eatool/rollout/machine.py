"""The decision about a rollout, pure: from what is declared and seen to a status and one action.

Called again and again, by whoever leads. Nothing is remembered but the status it returned the last
time, and without that it begins anew on the safe side: the soak starts over. What must not be
forgotten is in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from eatool.domain.events import JsonObject
from eatool.rollout import effective, soaking
from eatool.rollout.actions import Abort, Action, Commit, DropLegacyTable, Prepare
from eatool.rollout.declared import EventSourcingRolloutSpec
from eatool.rollout.dropping import drop_approval
from eatool.rollout.gates import HELD
from eatool.rollout.ledger import Cause, Preparation, TransitionResult, Trigger
from eatool.rollout.looking import Round, Seen, look, lossy_gate
from eatool.rollout.phases import Phase
from eatool.rollout.reporting import Condition, conditions, report
from eatool.rollout.status import CriterionStatus, RolloutStatus, State

#: How long replicas may take to let go of a phase.
PREPARE_TIMEOUT: Final = timedelta(seconds=30)
#: Characters of a criterion's demand that go into an event.
_EVIDENCE_TEXT: Final = 300
#: After an aborted attempt the next one waits this long.
RETRY_AFTER: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to show and what to do; ``None`` = look again later."""

    status: RolloutStatus
    conditions: tuple[Condition, ...]
    action: Action | None


def decide(spec: EventSourcingRolloutSpec, before: RolloutStatus | None, seen: Seen) -> Decision:
    """Decide one round. At most one step is begun, ended or aborted."""
    if before is not None and before.phase_epoch != seen.standing.epoch:
        before = None
    round_ = look(spec, before, seen)
    state, message, action = _act(spec, round_, seen)
    if state == "RollbackBlocked" and (back := seen.standing.phase.previous) is not None:
        round_ = replace(round_, gates=(lossy_gate(seen.standing, back, seen.approvals),))
    status = report(round_, state, message, seen)
    return Decision(status, conditions(spec, round_, status), action)


_Verdict = tuple[State, str, Action | None]


def _act(spec: EventSourcingRolloutSpec, round_: Round, seen: Seen) -> _Verdict:
    phase, target = seen.standing.phase, spec.target_phase
    if (prepared := seen.standing.preparation) is not None:
        up = prepared.to.number > phase.number
        return (_promoting if up else _rolling_back)(spec, prepared, round_, seen)
    if phase is Phase.RETIRED:
        return _retired(spec, seen)
    if spec.paused:
        return "Paused", "no transition starts while spec.paused is true", None
    if (cause := _way_back(spec, round_, seen)) is not None and phase.previous is not None:
        return _going_back(phase.previous, cause, seen)
    if target is phase:
        return "Complete", f"the phase is {phase}, as spec.targetPhase says", None
    return _waiting(round_, seen)


def _way_back(spec: EventSourcingRolloutSpec, round_: Round, seen: Seen) -> Cause | None:
    """Why the kind has to go one phase back, if it has to."""
    evidence = _evidence(round_.rollback_criteria)
    if spec.target_phase.number < seen.standing.phase.number:
        reason = f"spec.targetPhase was lowered to {spec.target_phase}"
        return Cause(Trigger.SPEC, reason, seen.author, evidence=evidence)
    failure = _tripped(round_)
    if failure is None or round_.cooling_until is not None:
        return None
    return Cause(Trigger.FAILURE, failure, evidence=evidence)


def _going_back(to: Phase, cause: Cause, seen: Seen) -> _Verdict:
    """Announce it, unless it would come to nothing: changes of the kind would wait in vain."""
    if (gate := lossy_gate(seen.standing, to, seen.approvals)).state == "Approved":
        cause = replace(
            cause,
            reason=f"{cause.reason}; {gate.message}",
            ticket=gate.ticket,
            gates=(gate.model_dump(mode="json", exclude_none=True),),
        )
    elif seen.unsafe is not None:
        return "RollbackBlocked", f"cannot go back to {to} yet: {seen.unsafe}", None
    elif (retry := _retry_at(to, seen)) is not None:
        message = f"the last attempt to go back was aborted, next at {retry.isoformat()}"
        return "RollbackBlocked", message, None
    return "RollingBack", f"back to {to}: {cause.reason}", Prepare(to, cause)


def _tripped(round_: Round) -> str | None:
    """Why the kind must go back by itself, if it must."""
    if not round_.guard.auto:
        return None
    limits = {each.name: each.failure_limit or 0 for each in round_.guard.criteria}
    for status in soaking.counting(round_.rollback_criteria):
        if status.failures > limits[status.name]:
            return f"criterion {status.name} fails: {status.demand}, it is {status.value}"
    return None


def _waiting(round_: Round, seen: Seen) -> _Verdict:
    """Hold the promotion back for the first reason there is, or begin it."""
    step, now = round_.step, seen.now
    if step is None or round_.transition_id is None:
        raise AssertionError("unreachable: below its target a kind has a next phase")
    if not soaking.passing(round_.criteria):
        return "Blocked", _blockers(round_), None
    started = round_.soak_started_at
    if started is None or now - started < step.soak:
        return "Soaking", f"criteria must pass for {step.soak} in all", None
    if round_.cooling_until is not None:
        return "CoolingDown", f"after a rollback until {round_.cooling_until.isoformat()}", None
    for gate in sorted(round_.gates, key=lambda gate: gate.name != HELD):
        if gate.state == "Waiting":
            return _WAITING_AT[HELD if gate.name == HELD else gate.type], gate.message, None
    if (retry := _retry_at(step.to, seen)) is not None:
        return "Blocked", f"the last attempt was aborted, next at {retry.isoformat()}", None
    return "Preparing", f"telling replicas of {step.to}", Prepare(step.to, _cause(round_))


_WAITING_AT: Final[Mapping[str, State]] = {
    HELD: "Held",
    "Manual": "AwaitingApproval",
    "Window": "AwaitingWindow",
    "DependsOn": "AwaitingDependency",
}


def _blockers(round_: Round) -> str:
    names = [
        f"{each.name} ({each.result})"
        for each in soaking.counting(round_.criteria)
        if each.result != "Pass"
    ]
    return f"waiting for criteria: {', '.join(names)}"


def _retry_at(to: Phase, seen: Seen) -> datetime | None:
    newest = next(iter(seen.history), None)
    if newest is None or newest.result is not TransitionResult.ABORTED or newest.target is not to:
        return None
    retry = newest.finished_at + RETRY_AFTER
    return retry if retry > seen.now else None


def _cause(round_: Round) -> Cause:
    approved = [gate for gate in round_.gates if gate.state == "Approved"]
    actors = sorted({gate.actor for gate in approved if gate.actor})
    ticket = next((gate.ticket for gate in approved if gate.ticket), None)
    trigger, reason = Trigger.AUTO, "every criterion passed and every gate was open"
    if approved:
        trigger, reason = Trigger.APPROVAL, "; ".join(gate.message for gate in approved)
    return Cause(
        trigger,
        reason,
        ", ".join(actors) or "system",
        ticket,
        _evidence(round_.criteria),
        tuple(gate.model_dump(mode="json", exclude_none=True) for gate in round_.gates),
    )


def _evidence(statuses: Sequence[CriterionStatus]) -> tuple[JsonObject, ...]:
    """As events and history keep it: bounded, whatever queries and messages are like."""
    shown = [each.model_copy(update={"demand": each.demand[:_EVIDENCE_TEXT]}) for each in statuses]
    return tuple(each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in shown)


# -- under way -------------------------------------------------------------------------------


def _promoting(
    spec: EventSourcingRolloutSpec, prepared: Preparation, round_: Round, seen: Seen
) -> _Verdict:
    """Commit once everybody is ready; abort when time is up or the grounds have gone.

    Figures that are missing are waited for, too: whoever decides after a crash has none of its
    own yet.
    """
    reason = None
    waiting = _unacknowledged(prepared, seen) or seen.undrained
    if spec.paused:
        reason = "spec.paused was set"
    elif spec.target_phase.number < prepared.to.number:
        reason = f"spec.targetPhase was lowered to {spec.target_phase}"
    elif (failure := _tripped(round_)) is not None:
        reason = failure
    elif soaking.unknown(round_.criteria):
        waiting = waiting or _blockers(round_)
    elif not soaking.passing(round_.criteria):
        reason = _blockers(round_)
    if reason is None and waiting is not None and _late(prepared, seen):
        reason = f"gave up after {PREPARE_TIMEOUT.total_seconds():.0f} s: {waiting}"
    if reason is not None:
        return "Blocked", f"aborted: {reason}", Abort(prepared.epoch, reason)
    if waiting is not None:
        return "Preparing", waiting, None
    commit = Commit(prepared.epoch, late=_late(prepared, seen))
    return "Preparing", f"all are ready for {prepared.to}", commit


def _rolling_back(
    spec: EventSourcingRolloutSpec, prepared: Preparation, _round: Round, seen: Seen
) -> _Verdict:
    """As before, but nobody who does not answer can keep a kind from going back.

    The fence keeps such a replica out. What was accepted under the old phase is finished first,
    or the kind does not go back: that must lose nothing, unless a person says so.
    """
    by_spec = prepared.cause.trigger is Trigger.SPEC
    if by_spec and spec.target_phase.number >= seen.standing.phase.number:
        reason = f"spec.targetPhase was raised to {spec.target_phase} again"
        return "Blocked", f"aborted: {reason}", Abort(prepared.epoch, reason)
    gate = lossy_gate(seen.standing, prepared.to, seen.approvals)
    if seen.undrained is not None and gate.state == "Waiting":
        if not _late(prepared, seen):
            return "RollingBack", f"waits: {seen.undrained}", None
        reason = f"gave up after {PREPARE_TIMEOUT.total_seconds():.0f} s: {seen.undrained}"
        return "RollbackBlocked", f"aborted: {reason}", Abort(prepared.epoch, reason)
    waiting = _unacknowledged(prepared, seen)
    if waiting is not None and not _late(prepared, seen):
        return "RollingBack", waiting, None
    return "RollingBack", f"going back to {prepared.to}", Commit(prepared.epoch)


def _unacknowledged(prepared: Preparation, seen: Seen) -> str | None:
    """Who has yet to let go of the old phase."""
    alive = [replica for replica in seen.replicas if replica.alive]
    missing = [replica.name for replica in alive if replica.acked_epoch < prepared.epoch]
    if missing:
        return f"waiting for {', '.join(missing)}"
    if not alive:
        return "no replica is alive"
    return None


def _late(prepared: Preparation, seen: Seen) -> bool:
    return seen.now - prepared.since >= PREPARE_TIMEOUT


def _retired(spec: EventSourcingRolloutSpec, seen: Seen) -> _Verdict:
    approval = drop_approval(spec, seen.standing.phase, seen.retired_table)
    if approval is None or seen.retired_table is None:
        return "Complete", "the log alone has the kind; the legacy table is gone", None
    if not approval.given:
        return "Complete", approval.message, None
    until = seen.standing.since + effective.kept(spec)
    if seen.now < until:
        return "Complete", f"the legacy table is kept until {until.isoformat()}", None
    drop = DropLegacyTable(seen.retired_table, seen.author)
    return "Complete", f"dropping {seen.retired_table}", drop
