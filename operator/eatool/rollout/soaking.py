"""How long criteria have passed without a break."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from eatool.rollout.criteria import Outcome, Result
from eatool.rollout.declared import CriterionSpec
from eatool.rollout.status import CriterionStatus, RolloutStatus

#: Longest time between two evaluations that counts as watched. What lies beyond, because the
#: operator was away, does not count.
LONGEST_GAP: Final = timedelta(minutes=5)
#: Digits of a figure in the status: enough to read, too few to change at every look.
_DIGITS = 4


def statuses(
    criteria: Sequence[CriterionSpec],
    results: Sequence[Result],
    before: Sequence[CriterionStatus],
    now: datetime,
) -> tuple[CriterionStatus, ...]:
    """One for each criterion; without a result it is inconclusive."""
    found = {result.name: result for result in results}
    known = {status.name: status for status in before}
    return tuple(_status(each.name, found.get(each.name), known, now) for each in criteria)


def _status(
    name: str, result: Result | None, known: dict[str, CriterionStatus], now: datetime
) -> CriterionStatus:
    if result is None:
        result = Result(name, Outcome.INCONCLUSIVE, "", message="not evaluated yet")
    was = known.get(name)
    if was is not None and was.demand != result.demand:
        was = None
    failed = result.outcome is Outcome.FAIL
    return CriterionStatus(
        name=name,
        result=result.outcome,
        demand=result.demand,
        value=None if result.value is None else f"{result.value:.{_DIGITS}g}",
        samples=result.samples,
        failures=(was.failures if was else 0) + 1 if failed else 0,
        since=was.since if was and was.result is result.outcome else now,
        dry_run=result.dry_run,
        message=result.message or None,
    )


def counting(statuses: Sequence[CriterionStatus]) -> list[CriterionStatus]:
    """Those that decide something."""
    return [status for status in statuses if not status.dry_run]


def passing(statuses: Sequence[CriterionStatus]) -> bool:
    """Whether all that decide something pass."""
    return all(status.result is Outcome.PASS for status in counting(statuses))


def failing(statuses: Sequence[CriterionStatus]) -> bool:
    """Whether one that decides something fails."""
    return any(status.result is Outcome.FAIL for status in counting(statuses))


def unknown(statuses: Sequence[CriterionStatus]) -> bool:
    """Whether missing data alone keeps those that decide something from passing."""
    results = {status.result for status in counting(statuses)}
    return Outcome.INCONCLUSIVE in results and results <= {Outcome.PASS, Outcome.INCONCLUSIVE}


def soak_started(
    transition_id: str,
    criteria: Sequence[CriterionStatus],
    before: RolloutStatus | None,
    now: datetime,
) -> datetime | None:
    """When the soak would have started, had it never been interrupted; ``None`` = not begun.

    A failure ends it, and so does a change of what is demanded. The time between two looks counts
    when both saw every criterion pass.
    """
    if failing(criteria):
        return None
    started = None if before is None else _started(transition_id, criteria, before)
    if before is None or started is None:
        return now if passing(criteria) else None
    gap = max(now - before.evaluated_at, timedelta())
    both_passed = passing(criteria) and passing(before.criteria)
    return min(now, started + gap - min(gap, LONGEST_GAP if both_passed else timedelta()))


def _started(
    transition_id: str, criteria: Sequence[CriterionStatus], before: RolloutStatus
) -> datetime | None:
    was = before.transition
    if was is None or was.id != transition_id or _demands(criteria) != _demands(before.criteria):
        return None
    return was.soak_started_at


def _demands(criteria: Sequence[CriterionStatus]) -> Collection[tuple[str, str]]:
    return {(status.name, status.demand) for status in counting(criteria)}
