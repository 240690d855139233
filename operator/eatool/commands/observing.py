"""What workers tell whoever measures them; metrics hook in here, the room knows none."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Verdict(StrEnum):
    """How one attempt ended."""

    RECORDED = "recorded"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    OUTDATED = "outdated"
    WAITING = "waiting"
    #: Nothing was decided for a reason that is not the command's; it does not count.
    POSTPONED = "postponed"
    #: A defect or a limit; it is tried again.
    FAULT = "fault"
    DEAD = "dead"
    #: The lease had ended: somebody else does it.
    LOST = "lost"


class CommandMetrics(Protocol):
    """Called in the workers' event loop: must be quick, must not raise."""

    def started(self, aggregate_type: str, waited: float) -> None:
        """An attempt begins, seconds after the command was enqueued (clocks of two hosts)."""
        ...

    def ended(self, aggregate_type: str, verdict: Verdict, seconds: float) -> None:
        """The attempt ended after so many seconds."""
        ...


class NullMetrics:
    """Nobody measures."""

    def started(self, aggregate_type: str, waited: float) -> None:
        """See :class:`CommandMetrics`."""

    def ended(self, aggregate_type: str, verdict: Verdict, seconds: float) -> None:
        """See :class:`CommandMetrics`."""
