"""The status of a rollout as it is written: the decision, and what people read at one glance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from eatool.kube.conditions import Condition, gist, merge, stalled
from eatool.rollout.findings import Parity
from eatool.rollout.machine import Decision
from eatool.rollout.status import RolloutStatus

Body = dict[str, Any]

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
#: Transitions that the status shows; history and log have more.
_HISTORY: Final = 10
#: Members whose news can wait: figures are in the metrics.
_FIGURES: Final = frozenset({"evaluatedAt", "message"})


def status_of(
    body: Mapping[str, Any],
    decision: Decision,
    parity: Parity | None,
    soak: timedelta,
    now: datetime,
) -> Body:
    """Full status. ``parity`` where it is compared; ``soak``: of the next promotion, as wanted."""
    shown = decision.status.to_json()
    shown["history"] = shown.get("history", [])[:_HISTORY]
    if shown["criteriaSummary"] == "0/0":
        shown["criteriaSummary"] = "-"
    shown |= {"parity": _parity(parity), "soak": _soak(decision.status, soak)}
    status = {name: value for name, value in shown.items() if value is not None}
    wanted = [
        Condition(each.type, each.status, each.reason, each.message) for each in decision.conditions
    ]
    return _told(body, status, wanted, now)


def refused_status(body: Mapping[str, Any], reason: str, message: str, now: datetime) -> Body:
    """Nothing can be decided until a person changes something; what was true is kept."""
    kept = {
        name: value
        for name, value in (body.get("status") or {}).items()
        if name not in {"observedGeneration", "conditions"}
    }
    return _told(body, kept, stalled(reason, message), now)


def essence(status: Mapping[str, Any]) -> object:
    """What is worth a write at once; the rest are figures that move."""
    told = {name: value for name, value in status.items() if name not in _FIGURES}
    return told | {
        "criteria": _results(status.get("criteria") or ()),
        "rollbackCriteria": _results(status.get("rollbackCriteria") or ()),
        "gates": _states(status.get("gates") or ()),
        "conditions": gist(status),
    }


def human(span: timedelta) -> str:
    """In one unit, the largest that it has ten of, rounded down: ``72h``, ``90m``, ``90s``."""
    seconds = max(0, int(span.total_seconds()))
    for unit, size in _UNITS:
        if seconds >= 10 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _told(
    body: Mapping[str, Any], status: Body, wanted: Sequence[Condition], now: datetime
) -> Body:
    generation = body["metadata"]["generation"]
    known = (body.get("status") or {}).get("conditions") or ()
    conditions = merge(known, wanted, generation=generation, now=now)
    return {"observedGeneration": generation, **status, "conditions": conditions}


def _parity(parity: Parity | None) -> str | None:
    if parity is None:
        return None
    errors = f", {parity.errors} in error" if parity.errors else ""
    # Rounded down: 100% means every one.
    return f"{parity.mismatches}{errors} at {int(parity.coverage * 100)}%"


def _soak(status: RolloutStatus, soak: timedelta) -> str | None:
    """In the unit of the whole, so that it changes some dozens of times and not every second."""
    next_ = status.transition
    if not soak or next_ is None or next_.to.number < status.phase.number:
        return None
    done = timedelta()
    if next_.soak_started_at is not None:
        done = min(soak, max(timedelta(), status.evaluated_at - next_.soak_started_at))
    whole = human(soak)
    size = dict(_UNITS)[whole[-1]]
    return f"{int(done.total_seconds()) // size}{whole[-1]} of {whole}"


def _results(criteria: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(each["name"], each["result"]) for each in criteria]


def _states(gates: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(each["name"], each["state"]) for each in gates]
