"""Series of rollouts: there while a kind is under rollout, and shown by whom they belong to."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from eatool.commands.observing import Verdict
from eatool.commands.port import Figures
from eatool.rollout.findings import Parity
from eatool.rollout.ledger import Cause, Standing, TransitionRecord, TransitionResult, Trigger
from eatool.rollout.phases import Phase
from eatool.telemetry.declaring import Declarations
from eatool.telemetry.rollout import RolloutSeries
from eatool.telemetry.rollout_instruments import RolloutInstruments
from eatool.telemetry.rollout_metrics import Judged

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PARITY = Parity(1000, 3, NOW, 0.997, 2, 2, 1, 0, NOW)
QUEUE = Figures(4, 1, 0, 2, 30.0, 0, {})


class Scrape:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = RolloutSeries(RolloutInstruments(Declarations(self.registry)))

    def __call__(self) -> dict[str, float]:
        text = generate_latest(self.registry).decode()
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def enter(self, phase: Phase, epoch: int) -> None:
        self.metrics.standing("server", Standing("server", phase, epoch, NOW))


@pytest.fixture
def scrape() -> Scrape:
    return Scrape()


def test_the_process_that_decides_says_so(scrape: Scrape) -> None:
    scrape.metrics.leading(leads=True)
    assert scrape() == {"eatool_leader": 1}
    scrape.metrics.leading(leads=False)
    assert scrape() == {"eatool_leader": 0}


def test_nothing_is_shown_of_kinds_that_are_not_under_rollout(scrape: Scrape) -> None:
    assert scrape() == {"eatool_leader": 0}
    scrape.enter(Phase.LEGACY, 1)
    assert scrape()['eatool_rollout_phase{entity="server",phase="Legacy"}'] == 1
    scrape.metrics.standing("server", None)
    left = {name.partition("{")[0] for name in scrape()}
    counted = {"eatool_rollout_transitions_total", "eatool_rollout_transitions_created"}
    assert left <= {"eatool_leader", *counted}


def test_the_phase_is_a_state_set_and_a_number(scrape: Scrape) -> None:
    scrape.enter(Phase.LEGACY, 1)
    scrape.enter(Phase.DUAL_WRITE, 2)
    found = scrape()
    shown = {
        phase: found[f'eatool_rollout_phase{{entity="server",phase="{phase}"}}'] for phase in Phase
    }
    assert [phase for phase, value in shown.items() if value] == [Phase.DUAL_WRITE]
    assert found['eatool_rollout_phase_number{entity="server"}'] == 1
    assert found['eatool_rollout_phase_epoch{entity="server"}'] == 2


def test_a_criterion_that_is_gone_has_no_series(scrape: Scrape) -> None:
    scrape.enter(Phase.DUAL_WRITE, 2)
    scrape.metrics.judged("server", [Judged("parity", 2.0, 0.0, "fail")], 7.0)
    found = scrape()
    labels = 'entity="server"'
    assert found[f'eatool_rollout_criterion_value{{criterion="parity",{labels}}}'] == 2
    failed = f'eatool_rollout_criterion_result{{criterion="parity",{labels},result="fail"}}'
    assert found[failed] == 1
    scrape.metrics.judged("server", [Judged("lag", math.nan, 30.0, "inconclusive")], 8.0)
    found = scrape()
    assert math.isnan(found[f'eatool_rollout_criterion_value{{criterion="lag",{labels}}}'])
    assert not [name for name in found if 'criterion="parity"' in name]


def test_figures_of_the_database_are_shown_by_whoever_decides(scrape: Scrape) -> None:
    scrape.enter(Phase.DUAL_WRITE, 2)
    scrape.metrics.deciding("server", "Soaking")
    scrape.metrics.parity("server", PARITY)
    scrape.metrics.command_queue("server", QUEUE)
    found = scrape()
    soaking = 'eatool_rollout_state{entity="server",state="Soaking"}'
    mismatches = 'eatool_parity_mismatches{entity="server",kind="mismatch"}'
    dead = 'eatool_command_queue_depth{entity="server",state="dead"}'
    assert (found[soaking], found[mismatches], found[dead]) == (1, 2, 2)
    assert found['eatool_parity_coverage_ratio{entity="server"}'] == 0.997
    scrape.metrics.deciding("server", None)
    found = scrape()
    assert (found[soaking], found[mismatches], found[dead]) == (0, 0, 0)
    assert found['eatool_rollout_phase_epoch{entity="server"}'] == 2, "of every process"


def test_transitions_and_commands_are_counted(scrape: Scrape) -> None:
    scrape.enter(Phase.DUAL_WRITE, 2)
    rolled_back = (
        'eatool_rollout_transitions_total{entity="server",result="RolledBack",'
        'to="DualWrite",trigger="Failure"}'
    )
    assert scrape()[rolled_back] == 0, "an alert waits for it"
    record = TransitionRecord(
        "server",
        4,
        TransitionResult.ROLLED_BACK,
        Phase.PROJECTION_ONLY,
        Phase.DUAL_WRITE,
        NOW,
        NOW,
        Cause(Trigger.FAILURE, "parity"),
    )
    scrape.metrics.transition(record)
    scrape.metrics.started("server", 0.2)
    scrape.metrics.ended("server", Verdict.RECORDED, 0.1)
    found = scrape()
    assert found[rolled_back] == 1
    assert found['eatool_commands_total{entity="server",result="recorded"}'] == 1
    assert found['eatool_command_wait_seconds_count{entity="server"}'] == 1
