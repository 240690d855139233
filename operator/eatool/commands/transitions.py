"""What becomes of a command: one value from another, the same for every adapter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from eatool.commands.ordering import overtakes, rank, replaced
from eatool.commands.port import Command, CommandState, StoredCommand
from eatool.commands.results import Awaiting, Refused, Result


def arrived(command: Command, sequence: int, now: datetime) -> StoredCommand:
    """A command that is due at once."""
    return StoredCommand(
        command=command,
        sequence=sequence,
        state=CommandState.QUEUED,
        enqueued_at=now,
        due_at=now,
    )


def admitted(
    new: StoredCommand, stream: Iterable[StoredCommand], now: datetime
) -> list[StoredCommand]:
    """What ``new`` changes in the stream that it joins: those it replaces, or itself, if overtaken.

    ``stream`` may leave out what has ended, but for the command of the highest rank of the
    incarnation.
    """
    others = list(stream)
    ahead = [each.command for each in others if overtakes(each.command, new.command)]
    if ahead:
        newest = max(ahead, key=lambda each: rank(each) or 0)
        return [_superseded(new, newest.id, now)]
    return [_superseded(each, new.command.id, now) for each in replaced(new.command, others)]


def finished(
    stored: StoredCommand, result: Result, now: datetime, again_after: float
) -> StoredCommand:
    """A running command has its result."""
    # Only what was woken is due while it runs.
    if isinstance(result, Awaiting | Refused) and stored.due_at is not None:
        stored = requeued(stored, now)
    elif isinstance(result, Awaiting):
        due = now + timedelta(seconds=again_after)
        stored = replace(stored, state=CommandState.WAITING, due_at=due, attempts=0)
    else:
        stored = _ended(stored, CommandState.FINISHED, now)
    return replace(stored, result=result, error=None)


def faulted(stored: StoredCommand, attempts: int, due: datetime, why: str) -> StoredCommand:
    """A running command goes back into its place."""
    return replace(stored, state=CommandState.QUEUED, due_at=due, attempts=attempts, error=why)


def buried(stored: StoredCommand, why: str) -> StoredCommand:
    """A running command becomes a dead letter."""
    return replace(stored, state=CommandState.DEAD, due_at=None, error=why)


def woken(stored: StoredCommand, now: datetime) -> StoredCommand:
    """Something arrived that it may have waited for."""
    if stored.state is CommandState.RUNNING:
        return replace(stored, due_at=now)
    return requeued(stored, now)


def requeued(stored: StoredCommand, now: datetime) -> StoredCommand:
    """As if it had just arrived, in its old place."""
    return replace(
        stored,
        state=CommandState.QUEUED,
        due_at=now,
        attempts=0,
        finished_at=None,
        result=None,
    )


def discarded(stored: StoredCommand, now: datetime) -> StoredCommand:
    """Somebody gave it up."""
    return _ended(stored, CommandState.DISCARDED, now)


def newest(stream: Sequence[StoredCommand]) -> int:
    """The highest sequence; 0 of none."""
    return max((each.sequence for each in stream), default=0)


def _superseded(stored: StoredCommand, by: UUID, now: datetime) -> StoredCommand:
    return replace(_ended(stored, CommandState.SUPERSEDED, now), superseded_by=by)


def _ended(stored: StoredCommand, state: CommandState, now: datetime) -> StoredCommand:
    return replace(stored, state=state, due_at=None, finished_at=now)
