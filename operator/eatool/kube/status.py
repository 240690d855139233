"""An outcome of the registry, told as the status of an object. Derived, never an input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from eatool.domain.errors import FieldError
from eatool.domain.kinds import KINDS
from eatool.domain.timing import Timing
from eatool.kube.conditions import (
    IN_FORCE,
    Condition,
    in_force,
    in_progress,
    merge,
    ready,
    stalled,
)
from eatool.kube.contract import PAUSED, RECONCILE_AT
from eatool.kube.schema.status import MAX_WAITING_FOR, MAX_WARNINGS
from eatool.registry.folding import LastEvent
from eatool.registry.outcome import (
    PhasedOutcome,
    Queued,
    Recorded,
    Refused,
    Unavailable,
    Unchanged,
    WaitingFor,
    WrittenToLegacy,
)

Body = dict[str, Any]


#: What an earlier record of the same object has left, true until the next one.
_OF_THE_LOG = (
    "acceptedGeneration",
    "streamVersion",
    "position",
    "lastEventId",
    "lastEventType",
    "correlationId",
    "effective",
)


def status_of(body: Mapping[str, Any], outcome: PhasedOutcome, now: datetime) -> Body:
    """Full status of an object after ``outcome``; fields that do not apply are left out."""
    old = body.get("status") or {}
    metadata = body["metadata"]
    generation = metadata["generation"]
    if isinstance(outcome, Unavailable):
        if old.get("observedGeneration") == generation and is_ready(old):
            return dict(old)  # still true; an outage must not rewrite thousands of objects
        return _with_conditions(old, _unavailable(outcome), generation, now)
    requested = (metadata.get("annotations") or {}).get(RECONCILE_AT)
    status: Body = {
        "observedGeneration": generation,
        "skippedGenerations": _skipped_so_far(body) or None,
        "lastHandledReconcileAt": requested,
    }
    if isinstance(outcome, WrittenToLegacy | Queued):
        status |= {name: old[name] for name in _OF_THE_LOG if name in old}
    else:
        status |= {
            "streamVersion": outcome.state.version,
            **_last_event(old, outcome.last, outcome),
            "effective": _effective(outcome.effective, body.get("spec") or {}) or None,
        }
    match outcome:
        case WrittenToLegacy(row_version=version):
            status["legacyVersion"] = version
            conditions = ready(_written(outcome), type(outcome).__name__)
        case Queued(command_id=command_id):
            status["commandId"] = str(command_id)
            conditions = in_progress("CommandQueued", _queued(outcome))
        case Recorded(warnings=warnings) | Unchanged(warnings=warnings):
            status["warnings"] = [str(warning) for warning in warnings][:MAX_WARNINGS] or None
            conditions = ready(f"Recorded as version {outcome.state.version}")
        case WaitingFor(errors=errors, missing=missing):
            status["waitingFor"] = sorted(ref.called for ref in missing)[:MAX_WAITING_FOR]
            conditions = in_progress(errors[0].code.reason, _told(errors))
        case Refused(errors=errors):
            conditions = stalled(errors[0].code.reason, _told(errors))
    status = {name: value for name, value in status.items() if value is not None}
    told = _with_conditions(status, conditions, generation, now, old)
    timing = timing_of(outcome, now)
    return told if timing is None else _with_validity(told, timing, old, now)


def timing_of(outcome: PhasedOutcome, now: datetime) -> Timing | None:
    """What the clock makes of the accepted spec; ``None`` where the outcome does not know it."""
    if isinstance(outcome, Unavailable | WrittenToLegacy | Queued) or outcome.effective is None:
        return None
    return KINDS[outcome.state.ref.aggregate_type].timing(outcome.effective, now)


def _with_validity(status: Body, timing: Timing, old: Mapping[str, Any], now: datetime) -> Body:
    rest = [each for each in status["conditions"] if each["type"] != IN_FORCE]
    if timing.validity is None:
        return {**status, "conditions": rest}
    generation = int(status.get("acceptedGeneration") or status["observedGeneration"])
    known = old.get("conditions") or ()
    told = merge(known, [in_force(timing.validity)], generation=generation, now=now)
    return {**status, "conditions": [*rest, *told]}


def deletion_status_of(body: Mapping[str, Any], outcome: PhasedOutcome, now: datetime) -> Body:
    """Status of an object whose deletion cannot be recorded yet: everything else stands."""
    old = body.get("status") or {}
    match outcome:
        case Refused(errors=errors):
            conditions = in_progress(errors[0].code.reason, _told(errors))
        case WaitingFor(errors=errors):
            conditions = in_progress(errors[0].code.reason, _told(errors))
        case Unavailable():
            conditions = _unavailable(outcome)
        case Queued(command_id=command_id):
            old = {**old, "commandId": str(command_id)}
            conditions = in_progress("CommandQueued", _queued(outcome))
        case _:
            return dict(old)
    return _with_conditions(old, conditions, body["metadata"]["generation"], now)


def paused_status_of(body: Mapping[str, Any], now: datetime) -> Body:
    """Status of a paused object: what was true stays true, and nobody waits for more."""
    old = body.get("status") or {}
    message = f'Spec changes are not recorded while the annotation {PAUSED} is "true"'
    generation = body["metadata"]["generation"]
    # Word for word: a Ready that speaks of an older generation must go on saying so.
    kept = [entry for entry in old.get("conditions") or () if entry["type"] == "Ready"]
    wanted = [Condition("Paused", "True", "PausedByAnnotation", message)]
    if not kept:
        wanted.insert(0, Condition("Ready", "Unknown", "Paused", message))
    told = _with_conditions(old, wanted, generation, now)
    return {**told, "conditions": [*kept, *told["conditions"]]}


def fault_status_of(body: Mapping[str, Any], trace_id: str, now: datetime) -> Body:
    """Status of an object over which this program stumbled; what was true stays true."""
    old = body.get("status") or {}
    generation = body["metadata"]["generation"]
    terminating = body["metadata"].get("deletionTimestamp") is not None
    if old.get("observedGeneration") == generation and is_ready(old) and not terminating:
        return dict(old)
    message = f"A fault of the operator; it tries again, and its log has more under {trace_id}"
    conditions = in_progress("InternalError", message, status="Unknown")
    return _with_conditions(old, conditions, generation, now)


def is_ready(status: Mapping[str, Any]) -> bool:
    """The status says that its generation is recorded."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status.get("conditions") or ()
    )


def patch_between(old: Mapping[str, Any], new: Mapping[str, Any]) -> Body:
    """JSON merge patch from one status to another; empty when nothing differs."""
    patch: Body = dict.fromkeys(old.keys() - new.keys())
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            nested = patch_between(before, value)
            if nested:
                patch[name] = nested
        elif before != value:
            patch[name] = value
    return patch


def skipped_generations(body: Mapping[str, Any]) -> int:
    """Generations between the last one a status spoke of and this one: never seen one by one."""
    observed = (body.get("status") or {}).get("observedGeneration", -1)
    return int(max(0, body["metadata"]["generation"] - max(observed, 0) - 1))


def _skipped_so_far(body: Mapping[str, Any]) -> int:
    before = (body.get("status") or {}).get("skippedGenerations", 0)
    return int(before) + skipped_generations(body)


def _unavailable(outcome: Unavailable) -> list[Condition]:
    return in_progress("StoreUnavailable", outcome.why, status="Unknown")


def _with_conditions(
    status: Mapping[str, Any],
    conditions: list[Condition],
    generation: int,
    now: datetime,
    old: Mapping[str, Any] | None = None,
) -> Body:
    known = (status if old is None else old).get("conditions") or ()
    # Recorded as before, so as valid as before.
    kept = [each for each in known if each["type"] == IN_FORCE]
    told = merge(known, conditions, generation=generation, now=now)
    return {**status, "conditions": [*told, *kept]}


def _written(outcome: WrittenToLegacy) -> str:
    told = f"Row version {outcome.row_version} of the legacy table"
    return told if outcome.pending is None else f"{told}; its events follow: {outcome.pending}"


def _queued(outcome: Queued) -> str:
    told = f"Command {outcome.command_id} waits to be decided"
    return told if outcome.problem is None else f"{told}: {outcome.problem}"


def _last_event(old: Mapping[str, Any], last: LastEvent | None, outcome: PhasedOutcome) -> Body:
    if last is None:
        return {}
    told: Body = {
        "acceptedGeneration": last.generation,
        "position": last.position,
        "lastEventId": str(last.event_id),
    }
    if isinstance(outcome, Recorded) and outcome.events:
        newest = outcome.events[-1]
        return {
            **told,
            "lastEventType": newest.type,
            "correlationId": str(newest.correlation_id) if newest.correlation_id else None,
        }
    if old.get("lastEventId") == told["lastEventId"]:
        told.update({name: old[name] for name in ("lastEventType", "correlationId") if name in old})
    return told


def _effective(accepted: BaseModel | None, written: Mapping[str, Any]) -> Body:
    """What the registry works with where it is not what the spec says."""
    if accepted is None:
        return {}
    canonical = accepted.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        name: value
        for name, value in canonical.items()
        if value not in ([], {}) and not _means_the_same(value, written.get(name))
    }


def _means_the_same(canonical: object, written: object) -> bool:
    if isinstance(canonical, list) and isinstance(written, list):
        return canonical == sorted(set(written))  # lists of the registry are sets
    return canonical == written


def _told(errors: Iterable[FieldError]) -> str:
    return "; ".join(map(str, errors))
