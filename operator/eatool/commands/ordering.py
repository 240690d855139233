"""The rules of one stream's queue, the same for every adapter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from math import ceil
from typing import Final

from eatool.commands.port import (
    PENDING,
    UNSTARTED,
    Command,
    CommandState,
    Enqueued,
    Operation,
    Queued,
    StoredCommand,
)
from eatool.commands.results import Refused

_LAST: Final = 2**62


def rank(command: Command) -> int | None:
    """What orders the commands of one incarnation; ``None`` where nobody counts generations.

    A deletion is the last word about an incarnation: an apply that arrives behind it comes from
    somebody who has not seen it yet.
    """
    if command.generation is None:
        return None
    return _LAST if command.operation is Operation.DELETE else command.generation


def overtakes(other: Command, command: Command) -> bool:
    """Whether ``other``, of the same stream, leaves ``command`` nothing to say.

    Whatever has become of it: it was wished for after ``command`` was.
    """
    mine, theirs = rank(command), rank(other)
    same = other.uid == command.uid
    return same and mine is not None and theirs is not None and theirs > mine


def replaced(command: Command, others: Iterable[StoredCommand]) -> list[StoredCommand]:
    """Those of ``others``, of the same stream, that need no start once ``command`` is there.

    Only of the same incarnation: the deletion of the one before must be recorded before the
    creation of this one.
    """
    mine = rank(command)
    if mine is None:
        return []
    return [
        other
        for other in others
        if other.state in UNSTARTED
        and other.command.uid == command.uid
        and (theirs := rank(other.command)) is not None
        and theirs <= mine
    ]


def next_due(pending: Iterable[StoredCommand]) -> datetime | None:
    """When the stream has work: when its first command is due; never while that is dead."""
    head = min(
        (each for each in pending if each.state in PENDING),
        key=lambda each: each.sequence,
        default=None,
    )
    if head is None or head.state is CommandState.DEAD:
        return None
    return head.due_at


def can_be_released(stored: StoredCommand, newest: int) -> bool:
    """Whether it may run (again); ``newest`` is the stream's highest sequence."""
    return stored.state in UNSTARTED or _refused_last(stored, newest)


def can_be_woken(stored: StoredCommand, newest: int) -> bool:
    """Whether an arrival concerns it.

    One that is running may have looked before: it is told, in case it is going to wait.
    """
    undecided = {CommandState.WAITING, CommandState.RUNNING}
    return stored.state in undecided or _refused_last(stored, newest)


def _refused_last(stored: StoredCommand, newest: int) -> bool:
    return (
        stored.state is CommandState.FINISHED
        and isinstance(stored.result, Refused)
        and stored.sequence == newest
    )


def new_work(answers: Iterable[Enqueued]) -> int:
    """The highest sequence that was made due; 0 when there is no new work."""
    return max(
        (
            each.stored.sequence
            for each in answers
            if isinstance(each, Queued) and each.stored.state is CommandState.QUEUED
        ),
        default=0,
    )


def quantile_ranks(count: int, quantiles: Sequence[float]) -> dict[float, int]:
    """Index of each quantile in ``count`` sorted values, by nearest rank; none of none."""
    if not count:
        return {}
    return {each: min(count - 1, max(0, ceil(each * count) - 1)) for each in quantiles}
