"""What the relay asks of the log: events as they are stored.

The stored form spares decoding what is passed on as text, and cannot fail on an event type that
this release does not know: one such event must never keep the others from being read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from eatool.store.encoding import StoredEvent
from eatool.store.port import Head


class StoredLog(Protocol):
    """Every adapter of :class:`~eatool.store.port.EventStore` is one. Methods block.

    Reads raise :class:`~eatool.store.port.StoreUnavailable` when the database is away.
    """

    def read_stored(
        self, *, after: int = 0, limit: int = 1000, partitions: Collection[int] | None = None
    ) -> list[StoredEvent]:
        """At most ``limit`` events with a position greater than ``after``, in order."""
        ...

    def read_stored_stream(self, stream_id: str, *, after_version: int = 0) -> list[StoredEvent]:
        """Events of one stream by version."""
        ...

    def head(self) -> Head:
        """The newest committed position."""
        ...

    def on_append(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """Call ``wake(position)`` after commits of this process; returns the unsubscriber."""
        ...
