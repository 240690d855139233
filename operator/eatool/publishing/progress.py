"""How far a destination with a beginning and an end has come, read from its cursors alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eatool.publishing.checkpoints import CursorState
from eatool.store.port import PARTITIONS


@dataclass(frozen=True, slots=True)
class Progress:
    """Positions of the log, unselected events included.

    Exact at both ends. In between it is a mean over the partitions, each of which holds about
    the same share of the log: counting the events of every partition would read the whole range.
    """

    done: int
    total: int

    @property
    def complete(self) -> bool:
        """Every partition has passed the end."""
        return self.done == self.total


def progress(cursors: Iterable[CursorState], start: int, until: int) -> Progress:
    """Progress from ``start`` (exclusive) to ``until`` (inclusive); nothing done without cursors.

    ``cursors`` are those of one destination, as the checkpoints list them.
    """
    total = max(0, until - start)
    passed = sum(min(max(each.position - start, 0), total) for each in cursors)
    return Progress(passed // PARTITIONS, total)
