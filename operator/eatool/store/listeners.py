"""Wake-up calls after commits of this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Listeners:
    """Thread-safe set of ``wake(position)`` callbacks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callable[[int], None]] = {}

    def add(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """Register a callback; returns what removes it (more than one call is harmless)."""
        token = object()
        with self._lock:
            self._callbacks = {**self._callbacks, token: wake}

        def remove() -> None:
            with self._lock:
                self._callbacks = {
                    key: callback for key, callback in self._callbacks.items() if key is not token
                }

        return remove

    def wake(self, position: int) -> None:
        """Call everyone; the events are committed, so a failing listener is only logged."""
        for callback in self._callbacks.values():
            try:
                callback(position)
            except Exception:
                _log.exception("a listener of the log failed")
