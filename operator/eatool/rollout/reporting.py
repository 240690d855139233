"""What people and tools see of a decision: status and conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from eatool.rollout import effective, soaking
from eatool.rollout.declared import EventSourcingRolloutSpec
from eatool.rollout.dropping import drop_approval
from eatool.rollout.ledger import HISTORY_LIMIT, TransitionRecord
from eatool.rollout.looking import Round, Seen, transition_id
from eatool.rollout.phases import Phase
from eatool.rollout.status import (
    EvidenceStatus,
    HistoryEntry,
    RollbackStatus,
    RolloutStatus,
    State,
    TransitionStatus,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition without its time; ``reason`` is CamelCase."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


#: States in which all is as it should be: a sync of Git must not wait for a soak of days.
_READY: Final = frozenset(
    {
        "Complete",
        "Soaking",
        "Paused",
        "AwaitingApproval",
        "AwaitingWindow",
        "AwaitingDependency",
    }
)


def report(round_: Round, state: State, message: str, seen: Seen) -> RolloutStatus:
    """The status of a round that was decided as ``state``."""
    standing = seen.standing
    shown = round_.criteria or round_.rollback_criteria
    counted = soaking.counting(shown)
    passed = sum(status.result == "Pass" for status in counted)
    return RolloutStatus(
        phase=standing.phase,
        phase_epoch=standing.epoch,
        phase_since=standing.since,
        state=state,
        message=message,
        criteria_summary=f"{passed}/{len(counted)}",
        evaluated_at=seen.now,
        transition=_transition(round_, state, seen),
        criteria=round_.criteria,
        rollback_criteria=round_.rollback_criteria,
        gates=round_.gates,
        rollback=_rollback(round_, seen),
        retired_table=seen.retired_table,
        history=tuple(_entry(record) for record in seen.history[:HISTORY_LIMIT]),
    )


def _transition(round_: Round, state: State, seen: Seen) -> TransitionStatus | None:
    standing = seen.standing
    prepared = standing.preparation
    if prepared is not None:
        identity, to = transition_id(standing, prepared.to), prepared.to
    elif state == "RollbackBlocked" and (back := standing.phase.previous) is not None:
        identity, to = transition_id(standing, back), back
    elif round_.transition_id is not None and round_.step is not None:
        identity, to = round_.transition_id, round_.step.to
    else:
        return None
    was = round_.before.transition if round_.before else None
    started = round_.soak_started_at
    soaks = round_.step is not None and round_.step.to is to
    alive = [replica for replica in seen.replicas if replica.alive]
    return TransitionStatus(
        id=identity,
        from_=standing.phase,
        to=to,
        started_at=was.started_at if was and was.id == identity else seen.now,
        soak_started_at=started,
        soak_until=started + round_.step.soak if started and soaks and round_.step else None,
        replicas_acked=prepared and sum(replica.acked_epoch >= prepared.epoch for replica in alive),
        replicas_expected=prepared and len(alive),
    )


def _rollback(round_: Round, seen: Seen) -> RollbackStatus:
    phase = seen.standing.phase
    back = phase.previous
    safe = False
    if phase is Phase.RETIRED:
        reason = "Retired is final: nothing feeds the legacy table any more"
    elif back is None:
        reason = "there is nothing before Legacy"
    elif seen.unsafe is not None:
        reason = f"not back to {back} without loss: {seen.unsafe}"
    elif phase.log_decides and not seen.compared:
        reason = f"back to {back}, but not all rows have been compared in {phase} yet"
    else:
        safe, reason = True, f"back to {back} without loss: the legacy table has everything"
    return RollbackStatus(
        possible=safe,
        reason=reason,
        demotions=round_.demotions,
        cooling_until=round_.cooling_until,
    )


def _entry(record: TransitionRecord) -> HistoryEntry:
    cause = record.cause
    return HistoryEntry(
        epoch=record.epoch,
        from_=record.source,
        to=record.target,
        result=record.result,
        trigger=cause.trigger,
        actor=cause.actor,
        reason=cause.reason,
        ticket=cause.ticket,
        evidence=tuple(
            EvidenceStatus(name=each["name"], result=each["result"], value=each.get("value"))
            for each in cause.evidence
        ),
        started_at=record.started_at,
        finished_at=record.finished_at,
        event_position=record.position,
    )


def conditions(
    spec: EventSourcingRolloutSpec, round_: Round, status: RolloutStatus
) -> tuple[Condition, ...]:
    """Ready always, Reconciling and Stalled only while true (kstatus), then our own."""
    state, message = status.state, status.message
    found: list[Condition] = []
    stalled = _stalled(spec, status)
    if stalled is not None:
        found += [
            Condition("Ready", "False", stalled.reason, stalled.message),
            stalled,
        ]
    elif state in _READY:
        found.append(Condition("Ready", "True", state, message))
    else:
        found += [
            Condition("Ready", "False", state, message),
            Condition("Reconciling", "True", state, message),
        ]
    return (*found, *_own(spec, round_, status))


def _stalled(spec: EventSourcingRolloutSpec, status: RolloutStatus) -> Condition | None:
    """What only a person can mend."""
    if status.phase is Phase.RETIRED and spec.target_phase is not Phase.RETIRED:
        message = f"Retired is final, spec.targetPhase {spec.target_phase} cannot be reached"
        return Condition("Stalled", "True", "NoWayBack", message)
    drop = drop_approval(spec, status.phase, status.retired_table)
    if drop is not None and drop.reason == "NamesAnotherTable":
        return Condition("Stalled", "True", drop.reason, drop.message)
    if status.state in {"Held", "RollbackBlocked"}:
        return Condition("Stalled", "True", status.state, status.message)
    limit = effective.deadline(spec)
    next_ = status.transition
    if status.state == "Blocked" and next_ and status.evaluated_at - next_.started_at >= limit:
        message = f"no progress for {limit}: {status.message}"
        return Condition("Stalled", "True", "ProgressDeadlineExceeded", message)
    return None


def _safety(status: RolloutStatus) -> str:
    if status.rollback.possible:
        return "Possible"
    return "NoWayBack" if status.phase.previous is None else "NotYet"


def _own(
    spec: EventSourcingRolloutSpec, round_: Round, status: RolloutStatus
) -> Sequence[Condition]:
    met = soaking.passing(round_.criteria)
    waiting = [gate for gate in round_.gates if gate.state == "Waiting"]
    back = status.rollback
    drop = drop_approval(spec, status.phase, status.retired_table)
    dropping = (
        [Condition("DropApproved", "True" if drop.given else "False", drop.reason, drop.message)]
        if drop is not None
        else []
    )
    return (
        Condition(
            "CriteriaMet",
            "True" if met else "False",
            "Passing" if met else "NotPassing",
            f"{status.criteria_summary} criteria pass",
        ),
        Condition(
            "Approved",
            "False" if waiting else "True",
            "Waiting" if waiting else "NothingToWaitFor",
            "; ".join(gate.message for gate in waiting) or "every gate is open",
        ),
        Condition(
            "Paused",
            "True" if spec.paused else "False",
            "Paused" if spec.paused else "NotPaused",
            "spec.paused is true" if spec.paused else "transitions may start",
        ),
        Condition(
            "RollbackSafe",
            "True" if back.possible else "False",
            _safety(status),
            back.reason,
        ),
        *dropping,
    )
