"""What is between being read and being acknowledged: order per stream, progress per partition."""

from __future__ import annotations

from collections import deque


class Progress:
    """Lowest contiguous acknowledged position of one partition.

    Positions are added in increasing order as they are read and finish in any order.
    """

    __slots__ = ("_done", "_open", "_read")

    def __init__(self, position: int) -> None:
        self._read = position
        self._open: deque[int] = deque()
        self._done: set[int] = set()

    @property
    def read(self) -> int:
        """Everything up to here was read."""
        return self._read

    @property
    def position(self) -> int:
        """Everything up to here is acknowledged, parked, or not ours: safe to write down."""
        return self._open[0] - 1 if self._open else self._read

    def begin(self, position: int) -> None:
        """An event at ``position`` was read and will be finished later."""
        self._open.append(position)
        self._read = position

    def advance(self, position: int) -> None:
        """Nothing that needs finishing lies between the last read position and this one."""
        self._read = max(self._read, position)

    def finish(self, position: int) -> None:
        """The event at ``position`` needs nothing more."""
        waiting = self._open
        if waiting[0] != position:
            self._done.add(position)
            return
        waiting.popleft()
        done = self._done
        while waiting and waiting[0] in done:
            done.remove(waiting.popleft())
