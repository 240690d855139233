"""Signals end the demo as an exception, so that everything it started is stopped."""

from __future__ import annotations

import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_asked: list[int] = []


def end_on_signals() -> None:
    """From now on, raise SystemExit with the exit status that shells give a signal."""
    _asked.clear()
    for number in _SIGNALS:
        signal.signal(number, _take)


def raise_if_lost() -> None:
    """Call after a fork: what a handler raises in Python's hooks around it, Python drops."""
    if _asked:
        raise SystemExit(128 + _asked[0])


def _take(number: int, _frame: FrameType | None) -> None:
    _asked.append(number)
    raise_if_lost()
