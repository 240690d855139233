"""Somebody who goes on doing something beside the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

_PAUSE = 0.4


class Busy:
    """Calls ``act`` with 1, 2, ... a few times a second while it is :meth:`on`.

    What ``act`` raises is raised where the block ends.
    """

    def __init__(self, act: Callable[[int], None]) -> None:
        self._act = act
        self._numbers = count(1)
        self._between = threading.Lock()
        self._stopped = threading.Event()
        self._failure: Exception | None = None
        self.done = 0

    @contextmanager
    def on(self) -> Iterator[None]:
        """Go on meanwhile."""
        self._stopped.clear()
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()
            if self._failure is not None:
                raise self._failure

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is done inside the block."""
        with self._between:
            yield

    def _run(self) -> None:
        try:
            while not self._stopped.wait(_PAUSE):
                with self._between:
                    self._act(next(self._numbers))
                    self.done += 1
        except Exception as failure:
            self._failure = failure
