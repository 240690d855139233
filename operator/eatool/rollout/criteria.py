"""Whether figures are what a rollout demands of them. Missing data is never a pass."""

from __future__ import annotations

import logging
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Protocol

from eatool.rollout.declared import CriterionSpec, Metric
from eatool.rollout.effective import window
from eatool.rollout.prometheus import BadQuery, Queries
from eatool.rollout.samples import NoAnswer, Reading

_log = logging.getLogger(__name__)

#: Characters of what a Prometheus complains about that are shown.
_MESSAGE_LIMIT: Final = 300

_HOLDS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Outcome(StrEnum):
    """What a criterion says at one evaluation."""

    PASS = "Pass"  # noqa: S105 - no password
    FAIL = "Fail"
    #: Data is missing: holds what it should decide.
    INCONCLUSIVE = "Inconclusive"
    #: The criterion cannot be evaluated as it is written: holds too.
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class Result:
    """One evaluation of one criterion.

    Attributes:
        demand: what must hold, ``ParityMismatches == 0``.
        value: the figure; ``None`` when there is none.
        samples: observations behind it.
        dry_run: shown, decides nothing.

    """

    name: str
    outcome: Outcome
    demand: str
    value: float | None = None
    samples: int = 0
    message: str = ""
    dry_run: bool = False


class Measurements(Protocol):
    """Where the figures of built-in metrics come from. Blocks; thread-safe."""

    def read(self, metric: Metric, aggregate_type: str, window: timedelta) -> Reading | None:
        """The figure over the last ``window``; ``None`` when there is none.

        Raises :class:`~eatool.rollout.samples.NoAnswer` with the reason, if it is known.
        """
        ...


def demand(criterion: CriterionSpec) -> str:
    """What must hold, in words: what the result of an evaluation is about."""
    figure = criterion.prom_ql if criterion.metric == "PromQL" else criterion.metric
    return f"{figure} {criterion.op} {criterion.threshold}"


def evaluate(
    criteria: Iterable[CriterionSpec],
    aggregate_type: str,
    measurements: Measurements,
    prometheus: Queries | None,
) -> tuple[Result, ...]:
    """All results, in order. Never raises: what cannot be evaluated is an outcome."""
    return tuple(
        _evaluate(criterion, aggregate_type, measurements, prometheus) for criterion in criteria
    )


def _evaluate(
    criterion: CriterionSpec,
    aggregate_type: str,
    measurements: Measurements,
    prometheus: Queries | None,
) -> Result:
    reading: Reading | None = None
    missing = "no data"
    try:
        if criterion.metric != "PromQL":
            reading = measurements.read(criterion.metric, aggregate_type, window(criterion))
        elif prometheus is None or criterion.prom_ql is None:
            return _result(criterion, Outcome.ERROR, None, "promQL or prometheus.url is missing")
        elif (value := prometheus.query(criterion.prom_ql)) is not None:
            reading = Reading(value, 1)
    except NoAnswer as error:
        missing = str(error)
    except BadQuery as error:
        return _result(criterion, Outcome.ERROR, None, str(error))
    # A figure comes from any room of the program; its defects must not stop the rollout of others.
    except Exception:
        _log.exception("Criterion %s of %s could not be evaluated", criterion.name, aggregate_type)
        return _result(criterion, Outcome.ERROR, None, "could not be measured, see the log")
    return _judge(criterion, reading, missing)


def _judge(criterion: CriterionSpec, reading: Reading | None, missing: str) -> Result:
    enough = criterion.min_samples or 1
    # PromQL gives a number without saying what it was made of.
    counted = criterion.metric != "PromQL"
    if reading is not None and counted and reading.samples < enough:
        missing = f"{reading.samples} of {enough} samples"
    elif reading is not None and not math.isnan(reading.value):
        holds = _HOLDS[criterion.op](reading.value, float(criterion.threshold))
        outcome = Outcome.PASS if holds else Outcome.FAIL
        return _result(criterion, outcome, reading, reading.about)
    failing = criterion.on_no_data == "Fail"
    outcome = Outcome.FAIL if failing else Outcome.INCONCLUSIVE
    return _result(criterion, outcome, reading, missing)


def _result(
    criterion: CriterionSpec, outcome: Outcome, reading: Reading | None, message: str = ""
) -> Result:
    return Result(
        criterion.name,
        outcome,
        demand(criterion),
        None if reading is None else reading.value,
        0 if reading is None else reading.samples,
        message[:_MESSAGE_LIMIT],
        bool(criterion.dry_run),
    )
