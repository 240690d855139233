"""Criteria of a status as metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from eatool.rollout import effective
from eatool.rollout.declared import CriterionSpec, EventSourcingRolloutSpec
from eatool.rollout.status import CriterionStatus, RolloutStatus
from eatool.telemetry.rollout_metrics import Judged

#: Before the name of a criterion that keeps a kind in its phase.
_ROLLBACK = "rollback:"


def judged_of(spec: EventSourcingRolloutSpec, status: RolloutStatus) -> list[Judged]:
    """All criteria of the present phase with value and threshold."""
    step = effective.step(spec, status.phase)
    guard = effective.guard(spec, status.phase)
    return [
        *_judged(status.criteria, step.criteria if step else (), ""),
        *_judged(status.rollback_criteria, guard.criteria, _ROLLBACK),
    ]


def _judged(
    criteria: Iterable[CriterionStatus], specs: Iterable[CriterionSpec], prefix: str
) -> Iterator[Judged]:
    thresholds = {each.name: float(each.threshold) for each in specs}
    for each in criteria:
        yield Judged(
            f"{prefix}{each.name}",
            math.nan if each.value is None else float(each.value),
            thresholds[each.name],
            each.result.lower(),
        )
