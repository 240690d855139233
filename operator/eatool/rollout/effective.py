"""A rollout's spec with everything filled in that it leaves to the defaults."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from eatool.rollout.declared import (
    CriterionSpec,
    EventSourcingRolloutSpec,
    GateSpec,
    RollbackCriterionSpec,
    RollbackSpec,
    TransitionSpec,
    duration,
)
from eatool.rollout.phases import Phase

DEFAULT_WINDOW: Final = timedelta(minutes=5)
DEFAULT_DEADLINE: Final = timedelta(days=14)
DEFAULT_COOLDOWN: Final = timedelta(hours=1)
DEFAULT_DEMOTIONS: Final = 2
DEFAULT_KEPT: Final = timedelta(days=14)

#: Phases that a failing rollback criterion leads out of.
DEMOTABLE: Final = frozenset({Phase.PROJECTION_ONLY, Phase.ASYNC_COMMANDS})

_NO_MISMATCH = {"name": "parity", "metric": "ParityMismatches", "op": "==", "threshold": "0"}
_NO_ERRORS = {"name": "errors", "metric": "ParityErrors", "op": "==", "threshold": "0"}
_COVERED = {"name": "coverage", "metric": "ParityCoverage", "op": ">=", "threshold": "1"}
_NOT_PARKED = {"name": "parked", "metric": "ParkedStreams", "op": "==", "threshold": "0"}
_PUBLISHED = {"name": "publish", "metric": "PublishLagSecondsP99", "op": "<", "threshold": "60"}
_PROJECTED = {"name": "lag", "metric": "ProjectionLagSeconds", "op": "<=", "threshold": "30"}
_REBUILT = {"name": "rebuild", "metric": "RebuildDifferences", "op": "==", "threshold": "0"}

_CRITERIA: Final[Mapping[Phase, tuple[dict[str, str], ...]]] = {
    Phase.DUAL_WRITE: (),
    Phase.PROJECTION_ONLY: (_NO_MISMATCH, _NO_ERRORS, _COVERED, _NOT_PARKED),
    Phase.ASYNC_COMMANDS: (_NO_MISMATCH, _NO_ERRORS, _COVERED, _NOT_PARKED, _PUBLISHED),
    Phase.RETIRED: (_NO_MISMATCH, _NO_ERRORS, _COVERED, _NOT_PARKED, _PROJECTED, _REBUILT),
}
#: What no list of criteria can leave out: afterwards the legacy table goes, for good.
_DEMANDED: Final[Mapping[Phase, tuple[dict[str, str], ...]]] = {
    Phase.RETIRED: (_NO_ERRORS, _REBUILT),
}
_SOAK: Final[Mapping[Phase, timedelta]] = {
    Phase.DUAL_WRITE: timedelta(),
    Phase.PROJECTION_ONLY: timedelta(hours=24),
    Phase.ASYNC_COMMANDS: timedelta(hours=24),
    Phase.RETIRED: timedelta(hours=168),
}


@dataclass(frozen=True, slots=True)
class Step:
    """What the promotion to a phase needs."""

    to: Phase
    criteria: tuple[CriterionSpec, ...]
    soak: timedelta
    gates: tuple[GateSpec, ...]
    auto_promote: bool


@dataclass(frozen=True, slots=True)
class Guard:
    """What keeps a kind in its phase. Without ``auto`` criteria are only shown."""

    auto: bool
    criteria: tuple[RollbackCriterionSpec, ...]
    cooldown: timedelta
    max_demotions: int


def step(spec: EventSourcingRolloutSpec, phase: Phase) -> Step | None:
    """What leads out of ``phase``; ``None`` from Retired."""
    to = phase.next
    if to is None:
        return None
    found = next((each for each in spec.transitions if each.to == to), TransitionSpec(to=to.value))
    return Step(
        to,
        _criteria(to, found.criteria),
        _SOAK[to] if found.soak_time is None else duration(found.soak_time),
        found.gates,
        # The API server refuses it for Retired; a rule this grave is not left to one place.
        bool(found.auto_promote) and to is not Phase.RETIRED,
    )


def _criteria(to: Phase, declared: tuple[CriterionSpec, ...] | None) -> tuple[CriterionSpec, ...]:
    if declared is None:
        return _specs(_CRITERIA[to])
    given = {_demand(each) for each in declared if not each.dry_run}
    missing = [each for each in _specs(_DEMANDED.get(to, ())) if _demand(each) not in given]
    return (*declared, *(_renamed(each, {other.name for other in declared}) for each in missing))


def _specs(given: Iterable[Mapping[str, str]]) -> tuple[CriterionSpec, ...]:
    return tuple(CriterionSpec.model_validate(each) for each in given)


def _demand(criterion: CriterionSpec) -> tuple[str, str, Decimal]:
    return criterion.metric, criterion.op, Decimal(criterion.threshold)


def _renamed(criterion: CriterionSpec, taken: Container[str]) -> CriterionSpec:
    """The same under a name that nobody else has."""
    name = criterion.name
    while name in taken:
        name = f"required-{name}"
    return criterion.model_copy(update={"name": name})


def guard(spec: EventSourcingRolloutSpec, phase: Phase) -> Guard:
    """What may lead back; no criteria where nothing does by itself."""
    found = spec.rollback or RollbackSpec()
    criteria = found.criteria
    if criteria is None:
        criteria = (RollbackCriterionSpec.model_validate(_NO_MISMATCH),)
    return Guard(
        found.auto is not False,
        criteria if phase in DEMOTABLE else (),
        DEFAULT_COOLDOWN if found.cooldown is None else duration(found.cooldown),
        DEFAULT_DEMOTIONS if found.max_demotions is None else found.max_demotions,
    )


def window(criterion: CriterionSpec) -> timedelta:
    """How far back the criterion looks."""
    return DEFAULT_WINDOW if criterion.window is None else duration(criterion.window)


def deadline(spec: EventSourcingRolloutSpec) -> timedelta:
    """How long criteria may keep a promotion back."""
    text = spec.progress_deadline
    return DEFAULT_DEADLINE if text is None else duration(text)


def kept(spec: EventSourcingRolloutSpec) -> timedelta:
    """How long the retired table is kept at least."""
    days = spec.retire.keep_days if spec.retire else None
    return DEFAULT_KEPT if days is None else timedelta(days=days)
