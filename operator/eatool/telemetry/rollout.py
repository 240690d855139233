"""Rollouts as Prometheus series."""

from __future__ import annotations

from collections.abc import Sequence
from time import time

from eatool.commands.observing import Verdict
from eatool.commands.port import Figures
from eatool.rollout.findings import Parity
from eatool.rollout.ledger import Standing, TransitionRecord
from eatool.rollout.phases import Phase
from eatool.telemetry.rollout_instruments import RolloutInstruments
from eatool.telemetry.rollout_metrics import (
    COMMAND_STATES,
    CRITERION_RESULTS,
    PARITY_FINDINGS,
    ROLLOUT_STATES,
    Judged,
)


class RolloutSeries:
    """A :class:`~eatool.telemetry.rollout_metrics.RolloutMetrics` that ``/metrics`` shows.

    Safe to call from any thread.
    """

    def __init__(self, instruments: RolloutInstruments) -> None:
        self._series = instruments
        self._criteria: dict[str, tuple[str, ...]] = {}

    def leading(self, *, leads: bool) -> None:
        """Show whether this process decides for all."""
        self._series.leader.set(leads)

    def standing(self, entity: str, standing: Standing | None) -> None:
        """Show where a kind stands in this process."""
        if standing is None:
            self._series.remove(entity)
            self._criteria.pop(entity, None)
            return
        self._series.add(entity)
        for phase in Phase:
            self._series.phase(entity, phase).set(phase is standing.phase)
        self._series.phase_number(entity).set(standing.phase.number)
        self._series.phase_epoch(entity).set(standing.epoch)
        self._series.phase_started(entity).set(standing.since.timestamp())

    def deciding(self, entity: str, state: str | None) -> None:
        """Show what the rollout is doing; nothing where another replica decides."""
        for candidate in ROLLOUT_STATES:
            self._series.state(entity, candidate).set(candidate == state)
        if state is None:
            self._criteria.pop(entity, None)
            self._series.forget_decisions(entity)

    def judged(self, entity: str, criteria: Sequence[Judged], at: float) -> None:
        """Show every criterion of a kind."""
        names = tuple(each.criterion for each in criteria)
        if self._criteria.get(entity) != names:
            self._series.name_criteria(entity, names)
            self._criteria[entity] = names
        for each in criteria:
            self._series.criterion_value(entity, each.criterion).set(each.value)
            self._series.criterion_threshold(entity, each.criterion).set(each.threshold)
            self._series.criterion_evaluated(entity, each.criterion).set(at)
            for result in CRITERION_RESULTS:
                series = self._series.criterion_result(entity, each.criterion, result)
                series.set(result == each.result)

    def transition(self, record: TransitionRecord) -> None:
        """Count a transition that ended."""
        self._series.transitions.labels(
            record.aggregate_type, record.target, record.cause.trigger, record.result
        ).inc()

    def parity(self, entity: str, found: Parity) -> None:
        """Show what comparisons have found."""
        figures = (found.mismatches, found.ignored, found.errors)
        for verdict, entities in zip(PARITY_FINDINGS, figures, strict=True):
            self._series.parity_findings(entity, verdict).set(entities)
        self._series.parity_coverage(entity).set(found.coverage)
        self._series.parity_dirty(entity).set(found.dirty)
        self._series.parity_checked_at(entity).set(
            found.swept_at.timestamp() if found.swept_at else 0
        )

    def command_queue(self, entity: str, found: Figures) -> None:
        """Show what waits."""
        for state in COMMAND_STATES:
            self._series.command_depth(entity, state).set(getattr(found, state))
        self._series.command_oldest(entity).set(time() - found.oldest if found.oldest else 0)

    def started(self, aggregate_type: str, waited: float) -> None:
        """An attempt begins, seconds after the command was enqueued."""
        self._series.command_wait(aggregate_type).observe(waited)

    def ended(self, aggregate_type: str, verdict: Verdict, seconds: float) -> None:
        """The attempt ended after so many seconds."""
        self._series.command_duration(aggregate_type).observe(seconds)
        self._series.commands(aggregate_type, verdict).inc()
