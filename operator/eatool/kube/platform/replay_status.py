"""The status of an EventReplay, from what one look found. Derived, but for the range.

``startPosition`` and ``endPosition`` are decided once and kept there: the only place where a
status is read back, because an open end means another position every time it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from eatool.kube.conditions import Condition, gist, in_progress, merge, stalled
from eatool.kube.platform.broker_status import stamp
from eatool.kube.platform.complaints import complaint_of
from eatool.publishing.checkpoints import ParkedStream
from eatool.publishing.options import RelayStatus
from eatool.publishing.problems import SpecProblem

Body = dict[str, Any]

#: Problems that end by themselves when somebody else is done.
_AWAITED: Final = frozenset({"BrokerNotFound", "SecretNotFound", "SecretKeyMissing"})


class State(StrEnum):
    """``status.state``."""

    PENDING = "Pending"
    RUNNING = "Running"
    PAUSED = "Paused"
    COMPLETED = "Completed"
    FAILED = "Failed"


#: Never run again.
ENDED: Final = frozenset({State.COMPLETED, State.FAILED})


@dataclass(frozen=True, slots=True)
class ReplayLook:
    """What one look at a replay found.

    Attributes:
        problem: why it cannot start, or not go on.
        position: how far it has got; ``None`` = as far as it was.
        sent: events that were acknowledged; ``None`` = as many as there were.
        parked: entities that the broker refused.
        relay: that of this process, if there is one.
        error: why nothing moves at the moment.
        why: who paused it.

    """

    state: State
    problem: SpecProblem | None = None
    position: int | None = None
    sent: int | None = None
    parked: tuple[ParkedStream, ...] = ()
    relay: RelayStatus | None = None
    error: str | None = None
    why: str | None = None


def replay_status(body: Mapping[str, Any], look: ReplayLook, now: datetime) -> Body:
    """Full status; the range and, without news, the progress stay as they were."""
    old = body.get("status") or {}
    generation = body["metadata"]["generation"]
    status: Body = {
        **{
            name: old[name] for name in ("startPosition", "endPosition", "startedAt") if name in old
        },
        "observedGeneration": generation,
        "state": str(look.state),
        "position": old.get("position") if look.position is None else look.position,
        "eventsSent": old.get("eventsSent") if look.sent is None else look.sent,
        "parkedStreams": len(look.parked) or None,
        "completedAt": stamp(now) if look.state in ENDED else None,
    }
    status["progress"] = _progress(status, look.state)
    status = {name: value for name, value in status.items() if value is not None}
    known = old.get("conditions") or ()
    conditions = _conditions(look, status)
    return {**status, "conditions": merge(known, conditions, generation=generation, now=now)}


def essence(status: Mapping[str, Any]) -> object:
    """What is worth a write at once; the rest is progress."""
    return gist(status), status.get("state")


def _progress(status: Mapping[str, Any], state: State) -> str | None:
    if state in ENDED:
        return "100%"
    if "endPosition" not in status:
        return None
    start, end = status["startPosition"], status["endPosition"]
    done = (status["position"] or start) - start
    return f"{min(99, 100 * done // max(1, end - start))}%"


def _conditions(look: ReplayLook, status: Mapping[str, Any]) -> list[Condition]:
    if look.problem is not None:
        reason, message = look.problem.reason, str(look.problem)
        return (in_progress if reason in _AWAITED else stalled)(reason, message)
    match look.state:
        case State.COMPLETED:
            end = status["endPosition"]
            message = f"Everything up to position {end} is at the broker"
            if status["startPosition"] == end:
                message = f"No event lies in the range: it begins and ends at position {end}"
            return [Condition("Ready", "True", "Completed", message)]
        case State.FAILED:
            first = look.parked[0]
            message = (
                f"The broker refused events of {len(look.parked)} entities, first of "
                f"{first.stream_id}: {first.reason}; the others are at the broker"
            )
            return stalled("EventsRefused", message)
        case State.PAUSED:
            return [Condition("Ready", "False", "Paused", look.why or "Paused")]
    if look.error is not None:
        connected = look.relay is not None and look.relay.connected
        reason = "StoreUnavailable" if look.relay is None else complaint_of(look.relay.fault).reason
        if not connected:
            return in_progress(reason, look.error)
    message = f"On the way to position {status.get('endPosition')}"
    return in_progress("Running", message)
