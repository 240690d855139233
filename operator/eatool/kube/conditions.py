"""Conditions in the kstatus sense: ``Ready`` always, ``Reconciling`` and ``Stalled`` while true.

``kubectl wait``, Flux and Argo CD read these three; the rules are those of kstatus: work in
progress is ``Reconciling=True``, a mistake only a person can mend is ``Stalled=True``, and
``Ready=False`` alone would look like progress for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from eatool.domain.timing import Validity

Status = Literal["True", "False", "Unknown"]

#: Type of the condition of :mod:`eatool.kube.published`.
PUBLISHED: Final = "Published"
#: Type of the condition that tells whether a validity window includes this moment.
IN_FORCE: Final = "InForce"

#: The API convention's limit for a condition message.
_MESSAGE_LIMIT = 32768


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition without its timestamp; ``reason`` is CamelCase."""

    type: str
    status: Status
    reason: str
    message: str


def ready(message: str, reason: str = "Recorded") -> list[Condition]:
    """Done: the registry holds this generation."""
    return [Condition("Ready", "True", reason, message)]


def in_progress(reason: str, message: str, *, status: Status = "False") -> list[Condition]:
    """Will go on by itself."""
    return [
        Condition("Ready", status, reason, message),
        Condition("Reconciling", "True", reason, message),
    ]


def stalled(reason: str, message: str) -> list[Condition]:
    """Somebody has to change something."""
    return [
        Condition("Ready", "False", reason, message),
        Condition("Stalled", "True", reason, message),
    ]


_IN_WORDS: Final = {
    Validity.NOT_YET: "effectiveFrom is still to come",
    Validity.WITHIN: "This moment lies between effectiveFrom and effectiveTo",
    Validity.OVER: "effectiveTo is over",
}


def in_force(validity: Validity) -> Condition:
    """Whether an accepted entity with a window is valid now; says nothing about its recording."""
    status: Status = "True" if validity is Validity.WITHIN else "False"
    return Condition(IN_FORCE, status, validity.value, _IN_WORDS[validity])


def merge(
    known: Iterable[Mapping[str, Any]],
    wanted: Sequence[Condition],
    *,
    generation: int,
    now: datetime,
) -> list[dict[str, Any]]:
    """Full condition list; ``lastTransitionTime`` moves only when a status flips."""
    before = {str(condition["type"]): condition for condition in known}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    merged = []
    for condition in wanted:
        old = before.get(condition.type)
        since = old["lastTransitionTime"] if old and old["status"] == condition.status else stamp
        merged.append(
            {
                "type": condition.type,
                "status": condition.status,
                "observedGeneration": generation,
                "lastTransitionTime": since,
                "reason": condition.reason,
                "message": condition.message[:_MESSAGE_LIMIT],
            }
        )
    return merged


def gist(status: Mapping[str, Any]) -> tuple[object, ...]:
    """What the conditions of a status say, without their words: generation, types, reasons."""
    conditions = status.get("conditions") or ()
    told = ((each["type"], each["status"], each["reason"]) for each in conditions)
    return status.get("observedGeneration"), *told


def condition_of(body: Mapping[str, Any], which: str) -> Mapping[str, Any]:
    """A condition of an object; empty when there is none."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == which), {})
