"""Gates: what a promotion waits for besides its figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from eatool.domain.kinds import by_kind
from eatool.rollout.declared import GateSpec
from eatool.rollout.ledger import Standing
from eatool.rollout.phases import Phase
from eatool.rollout.status import GateStatus

#: The gate of a transition without autoPromote.
PROMOTE: Final = "promote"
#: The gate of a rollout that went back by itself too often.
HELD: Final = "held"
#: The gate of a rollback that would undo what was accepted; open only when it is named itself.
LOSSY: Final = "lossy"

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's word for one transition.

    Attributes:
        actor: who, as far as is known.
        via: the way it came: ``spec``, ``api``, ``annotation``.

    """

    transition_id: str
    gate: str
    actor: str
    via: str
    reason: str | None = None
    ticket: str | None = None


def manual(name: str, transition_id: str, approvals: Iterable[Approval]) -> GateStatus:
    """Open for the transition that was approved, and for no other."""
    for approval in approvals:
        if (approval.transition_id, approval.gate) == (transition_id, name):
            message = f"approved by {approval.actor} ({approval.via})"
            if approval.reason:
                message = f"{message}: {approval.reason}"
            return GateStatus(
                name=name,
                type="Manual",
                state="Approved",
                message=message,
                actor=approval.actor,
                ticket=approval.ticket,
            )
    message = f"waits for an approval of {transition_id} at gate {name}"
    return GateStatus(name=name, type="Manual", state="Waiting", message=message)


def look(
    gate: GateSpec,
    transition_id: str,
    approvals: Iterable[Approval],
    others: Mapping[str, Standing],
    now: datetime,
) -> GateStatus:
    """State of a declared gate. A gate that makes no sense stays closed, and says why."""
    match gate.type:
        case "Manual":
            return manual(gate.name, transition_id, approvals)
        case "Window":
            is_open, message = _window(gate, now)
        case "DependsOn":
            is_open, message = _dependency(gate, others)
    state = "Open" if is_open else "Waiting"
    return GateStatus.model_validate(
        {"name": gate.name, "type": gate.type, "state": state, "message": message}
    )


def _dependency(gate: GateSpec, others: Mapping[str, Standing]) -> tuple[bool, str]:
    if gate.entity_kind is None or gate.min_phase is None:
        return False, "entityKind and minPhase are missing"
    other = others.get(by_kind(gate.entity_kind).aggregate_type)
    if other is None:
        return False, f"{gate.entity_kind} is not under rollout"
    far_enough = other.phase.number >= Phase(gate.min_phase).number
    wanted = "" if far_enough else f", waits for {gate.min_phase}"
    return far_enough, f"{gate.entity_kind} is in {other.phase}{wanted}"


def _window(gate: GateSpec, now: datetime) -> tuple[bool, str]:
    if gate.opens is None or gate.closes is None:
        return False, "opens and closes are missing"
    try:
        zone = ZoneInfo(gate.time_zone or "UTC")
    except (KeyError, OSError, ValueError):  # unknown, or no name of a time zone at all
        return False, f"timeZone {gate.time_zone} is not known here"
    opens, closes = time.fromisoformat(gate.opens), time.fromisoformat(gate.closes)
    today = now.astimezone(zone).date()
    # Yesterday's window may reach into today; a week ahead there is always another.
    for offset in range(-1, 8):
        day = today + timedelta(days=offset)
        if gate.days and _DAYS[day.weekday()] not in gate.days:
            continue
        start = datetime.combine(day, opens, zone)
        next_day = timedelta(days=0 if closes > opens else 1)
        end = datetime.combine(day + next_day, closes, zone)
        if start <= now < end:
            return True, f"open until {end.isoformat(timespec='minutes')}"
        if start > now:
            return False, f"opens at {start.isoformat(timespec='minutes')}"
    raise AssertionError("unreachable: every week has each of its days")
