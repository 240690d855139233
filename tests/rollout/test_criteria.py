from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from eatool.rollout.criteria import Outcome, Result, evaluate
from eatool.rollout.declared import CriterionSpec, Metric
from eatool.rollout.prometheus import BadQuery
from eatool.rollout.samples import NoAnswer, Reading


class Fixed:
    """Measurements and Prometheus that say one thing."""

    def __init__(self, answer: Reading | float | Exception | None) -> None:
        self.answer = answer
        self.windows: list[timedelta] = []

    def read(self, _metric: Metric, _kind: str, window: timedelta) -> Reading | None:
        self.windows.append(window)
        return self._give()  # type: ignore[no-any-return]  # whatever the test said

    def query(self, _promql: str) -> float | None:
        return self._give()  # type: ignore[no-any-return]  # whatever the test said

    def _give(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def judge(answer: Reading | float | Exception | None, **spec: Any) -> Result:
    criterion = {"name": "c", "metric": "ErrorRatio", "op": "<", "threshold": "0.5", **spec}
    fixed = Fixed(answer)
    (result,) = evaluate([CriterionSpec.model_validate(criterion)], "application", fixed, fixed)
    return result


@pytest.mark.parametrize(
    ("value", "op", "threshold", "passes"),
    [
        (0, "==", "0", True),
        (1, "==", "0", False),
        (0.49, "<", "0.5", True),
        (0.5, "<", "0.5", False),
        (0.5, "<=", "0.5", True),
        (0.5, ">", "0.5", False),
        (1, ">=", "1", True),
        (-1, ">", "-2", True),
        (float("inf"), "<", "30", False),
    ],
)
def test_a_figure_is_compared(value: float, op: str, threshold: str, passes: bool) -> None:
    result = judge(Reading(value, 3), op=op, threshold=threshold)
    assert result.outcome is (Outcome.PASS if passes else Outcome.FAIL)
    assert (result.value, result.samples) == (value, 3)
    assert result.demand == f"ErrorRatio {op} {threshold}"


PROMQL = {"metric": "PromQL", "promQL": "up"}


@pytest.mark.parametrize(
    ("answer", "spec", "message"),
    [
        (None, {}, "no data"),
        (Reading(0, 99), {"minSamples": 100}, "99 of 100 samples"),
        (Reading(0, 0), {}, "0 of 1 samples"),
        (Reading(float("nan"), 9), {}, "no data"),
        (None, PROMQL, "no data"),
        (float("nan"), PROMQL, "no data"),
        (NoAnswer("timed out"), PROMQL, "timed out"),
    ],
)
def test_missing_data_holds_or_fails_but_never_passes(
    answer: Reading | float | Exception | None, spec: dict[str, Any], message: str
) -> None:
    held = judge(answer, **spec)
    assert (held.outcome, held.message) == (Outcome.INCONCLUSIVE, message)
    assert judge(answer, onNoData="Fail", **spec).outcome is Outcome.FAIL
    # Even where the figure that is there would pass.
    assert judge(answer, **{**spec, "op": ">=", "threshold": "-9"}).outcome is held.outcome


@pytest.mark.parametrize(
    ("answer", "spec"),
    [(BadQuery("parse error"), PROMQL), (RuntimeError("defect"), {}), (1.0, {"metric": "PromQL"})],
)
def test_what_cannot_be_evaluated_is_an_error(
    answer: float | Exception, spec: dict[str, Any]
) -> None:
    result = judge(answer, onNoData="Fail", **spec)
    assert result.outcome is Outcome.ERROR
    assert result.message


def test_windows() -> None:
    fixed = Fixed(None)
    criteria = [
        CriterionSpec.model_validate(
            {"name": "c", "metric": "ErrorRatio", "op": "<", "threshold": "1", **more}
        )
        for more in ({}, {"window": "1h30m"})
    ]
    evaluate(criteria, "application", fixed, None)
    assert fixed.windows == [timedelta(minutes=5), timedelta(minutes=90)]


def test_promql_without_a_prometheus_is_an_error() -> None:
    criterion = CriterionSpec.model_validate({"name": "c", "op": "<", "threshold": "1", **PROMQL})
    (result,) = evaluate([criterion], "application", Fixed(None), None)
    assert result.outcome is Outcome.ERROR
