"""What the last commit of this process left, so that the next need not read it again."""

from __future__ import annotations

import threading
from typing import Final

from eatool.store.arbiter import LogState
from eatool.store.port import Head

#: Streams and keys remembered; beyond it everything is forgotten at once.
LIMIT: Final = 50_000


class Remembered:
    """The state at the end of the log, as long as nobody else moves that end.

    The hash of the head stands for the whole history, so a state left at a hash is right if, and
    only if, the head still has it once the log is locked. While others write too nothing is
    remembered: to find a state useless and load it then is dearer than loading at once.
    Thread-safe; a state has one owner at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: LogState | None = None
        self._left_at: Head | None = None

    def take(self) -> tuple[LogState, Head | None]:
        """The state and the head it was left at; an empty state goes with any."""
        with self._lock:
            state, self._state = self._state, None
            return (LogState(), None) if state is None else (state, self._left_at)

    def put(self, state: LogState, start: Head, end: Head) -> None:
        """Leave the state of a transaction that found ``start`` and ended the log at ``end``."""
        with self._lock:
            alone = self._left_at is None or self._left_at.hash == start.hash
            self._left_at = end
            fits = len(state.streams) + len(state.keys) <= LIMIT
            self._state = state.settled() if alone and fits else None
