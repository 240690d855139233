from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from tests.rollout.rounds import PARITY, spec

from eatool.kube.schema.structural import structural_schema
from eatool.rollout import effective
from eatool.rollout.criteria import demand
from eatool.rollout.declared import EventSourcingRolloutSpec, duration
from eatool.rollout.declared_rules import ROLLOUT_CEL, ROLLOUT_NAME_CEL
from eatool.rollout.phases import Phase
from eatool.rollout.status import RolloutStatus

REBUILT = {"name": "rebuild", "metric": "RebuildDifferences", "op": "==", "threshold": "0"}


def test_both_models_have_structural_schemas() -> None:
    declared = structural_schema(EventSourcingRolloutSpec)["properties"]
    assert declared["targetPhase"]["enum"] == [phase.value for phase in Phase]
    assert (
        "promQL"
        in declared["transitions"]["items"]["properties"]["criteria"]["items"]["properties"]
    )
    assert "transitionID" in declared["approvals"]["items"]["properties"]
    shown = structural_schema(RolloutStatus, "status")["properties"]
    assert shown["transition"]["properties"]["from"]["type"] == "string"


def test_every_rule_names_what_it_is_about() -> None:
    for rule in ROLLOUT_CEL:
        assert rule.field_path is not None
        assert rule.field_path.removeprefix(".") in rule.message + rule.rule
    assert "metadata.name" in ROLLOUT_NAME_CEL.message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("72h", 259200), ("1h30m", 5400), ("90s", 90), ("0s", 0), ("1.5h", 5400), ("1m1.5s", 61.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)
    assert spec(progressDeadline=text).progress_deadline == text


@pytest.mark.parametrize(
    "bad",
    [
        {"progressDeadline": "3d"},
        {"progressDeadline": "h"},
        {"entityKind": "Spaceship"},
        {"targetPhase": "legacy"},
        {"transitions": [{"to": "Legacy"}]},
        {"transitions": [{"to": "DualWrite", "criteria": [{**PARITY, "threshold": "NaN"}]}]},
        {"transitions": [{"to": "DualWrite", "criteria": [{**PARITY, "metric": "Luck"}]}]},
        {"prometheus": {"url": "http://user:secret@prometheus:9090"}},
        {"unknown": 1},
    ],
)
def test_what_means_nothing_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec(**bad)


def test_an_empty_list_of_criteria_is_none_and_no_list_is_the_default() -> None:
    none = effective.step(spec(transitions=[{"to": "DualWrite", "criteria": []}]), Phase.LEGACY)
    assert none is not None
    assert none.criteria == ()
    for phase in list(Phase)[1:-1]:
        found = effective.step(spec(), phase)
        assert found is not None
        assert found.criteria
        assert not found.auto_promote
    assert effective.step(spec(), Phase.RETIRED) is None


def test_no_row_goes_unseen_by_default() -> None:
    for phase in (Phase.DUAL_WRITE, Phase.PROJECTION_ONLY, Phase.ASYNC_COMMANDS):
        found = effective.step(spec(), phase)
        assert found is not None
        assert ("errors", "ParityErrors == 0") in _demands(found)


@pytest.mark.parametrize(
    ("declared", "rebuild"),
    [
        ([], "rebuild"),
        ([PARITY], "rebuild"),
        ([{**REBUILT, "dryRun": True}], "required-rebuild"),
        ([{**REBUILT, "op": "<=", "threshold": "5"}], "required-rebuild"),
        ([{**REBUILT, "name": "mine"}], "mine"),
    ],
)
def test_no_list_leaves_out_what_retiring_takes(
    declared: list[dict[str, Any]], rebuild: str
) -> None:
    transition = {"to": "Retired", "criteria": declared}
    found = effective.step(spec(transitions=[transition]), Phase.ASYNC_COMMANDS)
    assert found is not None
    demands = _demands(found)
    assert {(rebuild, "RebuildDifferences == 0"), ("errors", "ParityErrors == 0")} <= set(demands)
    assert len({name for name, _ in demands}) == len(demands)
    assert len(demands) == len({each["name"] for each in declared} | {rebuild, "errors"})


def _demands(step: effective.Step) -> list[tuple[str, str]]:
    return [(each.name, demand(each)) for each in step.criteria]


def test_only_two_phases_are_guarded() -> None:
    guarded = {phase for phase in Phase if effective.guard(spec(), phase).criteria}
    assert guarded == {Phase.PROJECTION_ONLY, Phase.ASYNC_COMMANDS}


def test_nothing_retires_by_itself() -> None:
    transition = {"to": "Retired", "autoPromote": True}
    found = effective.step(spec(transitions=[transition]), Phase.ASYNC_COMMANDS)
    assert found is not None
    assert not found.auto_promote
