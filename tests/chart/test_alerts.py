"""The alerts of the chart: valid, about series that exist, and raised when they should be."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from tests.plugins.chart import CHART
from tests.telemetry.conftest import promtool

from eatool.telemetry.instruments import Instruments
from eatool.telemetry.labels import Labels

__all__ = ["promtool"]

FILES = sorted((CHART / "files" / "alerts").glob("*.yaml"))
CASES = Path(__file__).parent / "alert_cases.yaml"


def test_promtool_finds_nothing_wrong(promtool: Path) -> None:
    answer = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", *FILES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_they_are_raised_and_resolved_as_meant(promtool: Path) -> None:
    answer = subprocess.run(
        [promtool, "test", "rules", CASES], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_every_series_exists(file: Path) -> None:
    declared = Instruments(CollectorRegistry(), Labels(events={})).declared
    names = {metric.name for metric in declared}
    for group in yaml.safe_load(file.read_text())["groups"]:
        for rule in group["rules"]:
            used = set(re.findall(r"eatool_\w+", rule["expr"]))
            assert used, rule["alert"]
            assert used <= names, rule["alert"]
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
            assert {"summary", "description"} <= rule["annotations"].keys()


def test_every_alert_of_rollouts_is_raised_in_a_case() -> None:
    rules = yaml.safe_load((CHART / "files" / "alerts" / "rollout.yaml").read_text())
    wanted = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    raised = {
        case["alertname"]
        for test in yaml.safe_load(CASES.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert wanted <= raised
