"""Positions of the log that a declaration means."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final, Protocol

from eatool.publishing.declared.broker import StartSpec
from eatool.publishing.declared.replay import EventReplaySpec
from eatool.publishing.problems import SpecProblem
from eatool.store.port import Head

#: Entities named in one message.
_NAMED: Final = 3


class Timeline(Protocol):
    """What is asked of the log here. Methods block and raise ``StoreUnavailable``."""

    def head(self) -> Head:
        """The newest committed position."""
        ...

    def position_at(self, time: datetime) -> int:
        """Position of the last event recorded at or before ``time`` (0 if none)."""
        ...

    def recorded(self, streams: Collection[str]) -> set[str]:
        """Which of these streams have events."""
        ...


def start_position(start: StartSpec | None, log: Timeline) -> int:
    """The position after which a broker without a checkpoint begins. Blocks."""
    if start is None or start.position == "Earliest":
        return 0
    if start.position == "Latest" or start.timestamp is None:
        return log.head().position
    return log.position_at(start.timestamp)


def replay_range(replay: EventReplaySpec, log: Timeline) -> tuple[int, int]:
    """First (exclusive) and last (inclusive) position of a replay that begins now. Blocks.

    The end is never beyond the end of the log, so that a replay ends. Keep the answer: asked
    again later, an open end means another position. :class:`SpecProblem` when the range gives an
    end twice, runs backwards or begins beyond the log, and when an entity was never recorded: it
    would end at once, as if all had been sent.
    """
    _require_recorded(replay.streams, log)
    given = replay.range
    head = log.head().position
    if given is None:
        return 0, head
    start, until = 0, head
    if given.after_position is not None and given.after_time is not None:
        raise SpecProblem("spec.range", "InvalidRange", "give afterPosition or afterTime, not both")
    if given.to_position is not None and given.to_time is not None:
        raise SpecProblem("spec.range", "InvalidRange", "give toPosition or toTime, not both")
    if given.after_position is not None:
        start = given.after_position
    elif given.after_time is not None:
        start = log.position_at(given.after_time)
    if given.to_position is not None:
        until = min(head, given.to_position)
    elif given.to_time is not None:
        until = log.position_at(given.to_time)
    if start > head:
        raise SpecProblem(
            "spec.range",
            "InvalidRange",
            f"starts after position {start}, but the log ends at {head}",
        )
    if start > until:
        raise SpecProblem(
            "spec.range", "InvalidRange", f"starts after position {start} but ends at {until}"
        )
    return start, until


def _require_recorded(streams: Collection[str], log: Timeline) -> None:
    known = log.recorded(streams)
    unknown = [stream for stream in streams if stream not in known]
    if unknown:
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise SpecProblem(
            "spec.streams",
            "UnknownStream",
            f"nothing was ever recorded of {', '.join(unknown[:_NAMED])}{more}; "
            "legal: type/namespace/name of an entity, such as data_entity/default/customer",
        )
