"""Figures of commands that are all at hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from eatool.commands.ordering import quantile_ranks
from eatool.commands.port import CommandState, Figures, StoredCommand


def figures_of(
    found: Sequence[StoredCommand], now: datetime, window: float, quantiles: Sequence[float]
) -> Figures:
    """See :meth:`~eatool.commands.port.CommandQueue.figures`."""
    moving = {CommandState.QUEUED, CommandState.RUNNING}
    ages = [(now - each.enqueued_at).total_seconds() for each in found if each.state in moving]
    latencies = sorted(
        (each.finished_at - each.enqueued_at).total_seconds()
        for each in found
        if each.state is CommandState.FINISHED
        and each.finished_at is not None
        and each.finished_at > now - timedelta(seconds=window)
    )
    states = [each.state for each in found]
    return Figures(
        queued=states.count(CommandState.QUEUED),
        running=states.count(CommandState.RUNNING),
        waiting=states.count(CommandState.WAITING),
        dead=states.count(CommandState.DEAD),
        oldest=max(ages, default=0.0),
        finished=len(latencies),
        latencies={
            quantile: latencies[index]
            for quantile, index in quantile_ranks(len(latencies), quantiles).items()
        },
    )
