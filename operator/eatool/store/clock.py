"""The clock of the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

#: Returns the current time with a time zone.
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The operating system's idea of now, in UTC."""
    return datetime.now(UTC)
