"""The series of rollouts: kinds come under rollout, and may leave it, while the process runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from prometheus_client import Gauge
from prometheus_client.metrics import MetricWrapperBase

from eatool.commands.observing import Verdict
from eatool.rollout.ledger import TransitionResult, Trigger
from eatool.rollout.phases import Phase
from eatool.telemetry.declaring import Declarations
from eatool.telemetry.labels import Family, cross
from eatool.telemetry.rollout_metrics import (
    COMMAND_STATES,
    CRITERION_RESULTS,
    PARITY_FINDINGS,
    ROLLOUT_STATES,
)

M = TypeVar("M", bound=MetricWrapperBase)

#: One attempt at one command.
_ATTEMPT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0)
#: From enqueued to started; 60 s is the objective.
_WAIT = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

_ROLLED_BACK = TransitionResult.ROLLED_BACK
_DECIDED = "Only from the replica that decides."


class RolloutInstruments:
    """Every metric of rollouts; the first label of what a kind has is ``entity``."""

    def __init__(self, declare: Declarations) -> None:
        self._kinds: set[str] = set()
        self._families: list[tuple[Family[Any], tuple[Iterable[str], ...]]] = []
        self.leader = declare.gauge(
            "leader", "1 in the process that decides about rollouts and compares; else 0."
        )
        self._phases(declare)
        self._criteria(declare)
        self._parity(declare)
        self._commands(declare)
        self._global: tuple[tuple[Family[Gauge], list[tuple[str, ...]]], ...] = (
            (self.parity_findings, [(each,) for each in PARITY_FINDINGS]),
            (self.parity_coverage, [()]),
            (self.parity_dirty, [()]),
            (self.parity_checked_at, [()]),
            (self.command_depth, [(each,) for each in COMMAND_STATES]),
            (self.command_oldest, [()]),
        )

    def add(self, entity: str) -> None:
        """Series of a kind, at zero; nothing happens to one that has them."""
        if entity not in self._kinds:
            self._kinds.add(entity)
            for family, further in self._families:
                family.include(cross((entity,), *further))
            for phase in (Phase.LEGACY, Phase.DUAL_WRITE, Phase.PROJECTION_ONLY):
                self.transitions.labels(entity, phase, Trigger.FAILURE, _ROLLED_BACK)

    def remove(self, entity: str) -> None:
        """Every series of a kind is gone, but for the counter of what happened."""
        if entity in self._kinds:
            self._kinds.discard(entity)
            for family, _ in self._families:
                family.exclude(entity)
            self.forget_criteria(entity)

    def name_criteria(self, entity: str, criteria: Iterable[str]) -> None:
        """Exactly these criteria of a kind have series."""
        self.forget_criteria(entity)
        names = tuple(criteria)
        for family in self._by_criterion:
            family.include(cross((entity,), names))
        self.criterion_result.include(cross((entity,), names, CRITERION_RESULTS))

    def forget_decisions(self, entity: str) -> None:
        """Another process decides: figures of the whole database are its to show, not ours."""
        self.forget_criteria(entity)
        for family, values in self._global:
            for value in values:
                family(entity, *value).set(0)

    def forget_criteria(self, entity: str) -> None:
        """No criterion of the kind is evaluated here any more."""
        for family in (*self._by_criterion, self.criterion_result):
            family.exclude(entity)

    def _phases(self, declare: Declarations) -> None:
        self.phase = self._per_kind(
            declare.gauge(
                "rollout_phase", "1 for the phase this process writes in.", "entity", "phase"
            ),
            Phase,
        )
        self.phase_number = self._per_kind(
            declare.gauge("rollout_phase_number", "Legacy 0, DualWrite 1, ... Retired 4.", "entity")
        )
        self.phase_epoch = self._per_kind(
            declare.gauge(
                "rollout_phase_epoch", "Fencing epoch this process writes under.", "entity"
            )
        )
        self.phase_started = self._per_kind(
            declare.gauge(
                "rollout_phase_started_timestamp_seconds", "When the phase was entered.", "entity"
            )
        )
        self.state = self._per_kind(
            declare.gauge(
                "rollout_state", f"1 for what the rollout is doing. {_DECIDED}", "entity", "state"
            ),
            ROLLOUT_STATES,
        )
        # Values are enums; only what an alert waits for is there from the start.
        self.transitions = declare.counter(
            "rollout_transitions_total",
            "Transitions that ended while this process decided.",
            "entity",
            "to",
            "trigger",
            "result",
        )

    def _criteria(self, declare: Declarations) -> None:
        labels = ("entity", "criterion")
        self.criterion_value: Family[Any] = Family(
            declare.gauge(
                "rollout_criterion_value",
                f"Last measured value; NaN without data. {_DECIDED}",
                *labels,
            ),
            (),
        )
        self.criterion_threshold: Family[Any] = Family(
            declare.gauge("rollout_criterion_threshold", "What it is compared with.", *labels), ()
        )
        self.criterion_result: Family[Any] = Family(
            declare.gauge(
                "rollout_criterion_result",
                "1 for pass, fail, inconclusive or error.",
                *labels,
                "result",
            ),
            (),
        )
        self.criterion_evaluated: Family[Any] = Family(
            declare.gauge(
                "rollout_criterion_evaluated_timestamp_seconds", "When it was evaluated.", *labels
            ),
            (),
        )
        self._by_criterion = (
            self.criterion_value,
            self.criterion_threshold,
            self.criterion_evaluated,
        )

    def _parity(self, declare: Declarations) -> None:
        self.parity_findings = self._per_kind(
            declare.gauge(
                "parity_mismatches",
                "Entities whose legacy row and log differ: confirmed as a mismatch, ignored by a "
                "rule, or in error (a row that cannot be read or recorded).",
                "entity",
                "kind",
            ),
            PARITY_FINDINGS,
        )
        self.parity_coverage = self._per_kind(
            declare.gauge(
                "parity_coverage_ratio",
                "Share of the legacy rows compared since they were last written, in this phase; a "
                "row that was changed less than 10 s ago counts as compared.",
                "entity",
            )
        )
        self.parity_checked_at = self._per_kind(
            declare.gauge(
                "parity_checked_timestamp_seconds",
                "End of the last full comparison; 0 = none yet.",
                "entity",
            )
        )
        self.parity_dirty = self._per_kind(
            declare.gauge(
                "parity_dirty_keys",
                "Changed legacy rows that wait to be compared, fresh ones included.",
                "entity",
            )
        )

    def _commands(self, declare: Declarations) -> None:
        self.command_depth = self._per_kind(
            declare.gauge("command_queue_depth", "Commands by state.", "entity", "state"),
            COMMAND_STATES,
        )
        self.command_oldest = self._per_kind(
            declare.gauge(
                "command_oldest_timestamp_seconds",
                "When the oldest queued or running command was enqueued; 0 = none.",
                "entity",
            )
        )
        self.command_wait = self._per_kind(
            declare.histogram("command_wait_seconds", "Enqueued to first started.", _WAIT, "entity")
        )
        self.command_duration = self._per_kind(
            declare.histogram("command_duration_seconds", "One attempt.", _ATTEMPT, "entity")
        )
        self.commands = self._per_kind(
            declare.counter("commands_total", "Attempts by how they ended.", "entity", "result"),
            Verdict,
        )

    def _per_kind(self, metric: M, *further: Iterable[str]) -> Family[M]:
        """A family by kind and ``further`` labels."""
        family: Family[M] = Family(metric, ())
        self._families.append((family, further))
        return family
