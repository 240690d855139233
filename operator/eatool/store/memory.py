"""The in-memory twin: the same rules and stored form without a database.

For tests of other layers and for trying things out. It passes the contract suite of the SQL
adapters; what it lacks is durability and inline projections.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from itertools import islice

from eatool.store.arbiter import LogState
from eatool.store.batch import Batch, Encoded, encode
from eatool.store.clock import Clock, utc_now
from eatool.store.encoding import GENESIS, StoredEvent, Upcast, newest
from eatool.store.listeners import Listeners
from eatool.store.port import (
    Append,
    Appended,
    Head,
    Outcome,
    RecordedEvent,
    StoreError,
    Transaction,
)


class MemoryEventStore:
    """An event log in lists and dictionaries; thread-safe."""

    def __init__(self, *, upcast: Upcast = newest, clock: Clock = utc_now) -> None:
        self._upcast = upcast
        self._clock = clock
        self._lock = threading.Lock()
        self._state = LogState()
        self._events: list[StoredEvent] = []
        self._listeners = Listeners()

    def append_batch(self, transactions: Sequence[Transaction]) -> list[Outcome]:
        """See :class:`~eatool.store.port.EventStore`."""
        return self.append_encoded([encode(transaction) for transaction in transactions])

    def append_encoded(self, batch: Sequence[Encoded | StoreError]) -> list[Outcome]:
        """:meth:`append_batch` for transactions that :func:`~eatool.store.batch.encode` took."""
        with self._lock:
            # Categories are few here, and nothing has to be loaded: types are always kept.
            self._state.asked = self._state.fenced = True
            commit = Batch(self.head(), self._state, self._clock(), self._find)
            outcomes = [commit.decide(each) for each in batch]
            rows = commit.take_rows()
            self._events.extend(rows)
        if rows:
            self._listeners.wake(commit.position)
        return outcomes

    def append(self, *appends: Append) -> Appended:
        """See :class:`~eatool.store.port.EventStore`."""
        (outcome,) = self.append_batch([appends])
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    def _find(self, transaction: Transaction) -> list[RecordedEvent]:
        wanted = {event.event_id for append in transaction for event in append.events}
        return [row.read(self._upcast) for row in self._events if row.event_id in wanted]

    def read_stream(
        self, stream_id: str, *, after_version: int = 0, until: datetime | None = None
    ) -> list[RecordedEvent]:
        """See :class:`~eatool.store.port.EventStore`."""
        rows = self.read_stored_stream(stream_id, after_version=after_version, until=until)
        return [row.read(self._upcast) for row in rows]

    def read_all(
        self, *, after: int = 0, limit: int = 1000, partitions: Collection[int] | None = None
    ) -> list[RecordedEvent]:
        """See :class:`~eatool.store.port.EventStore`."""
        rows = self.read_stored(after=after, limit=limit, partitions=partitions)
        return [row.read(self._upcast) for row in rows]

    def read_stored(
        self, *, after: int = 0, limit: int = 1000, partitions: Collection[int] | None = None
    ) -> list[StoredEvent]:
        """:meth:`read_all` in the stored form: nothing is decoded, no version is unknown."""
        if partitions is None:
            return self._events[after : after + limit]
        wanted = (row for row in self._events[after:] if row.partition in partitions)
        return list(islice(wanted, limit))

    def read_stored_stream(
        self, stream_id: str, *, after_version: int = 0, until: datetime | None = None
    ) -> list[StoredEvent]:
        """:meth:`read_stream` in the stored form."""
        return [
            row
            for row in self._events[:]
            if row.stream_id == stream_id
            and row.version > after_version
            and (until is None or row.recorded_at <= until)
        ]

    def head(self) -> Head:
        """See :class:`~eatool.store.port.EventStore`."""
        if not self._events:
            return Head(0, GENESIS, None)
        last = self._events[-1]
        return Head(last.position, last.hash, last.recorded_at)

    def position_at(self, time: datetime) -> int:
        """See :class:`~eatool.store.port.EventStore`."""
        return bisect_right(self._events, time, key=lambda row: row.recorded_at)

    def recorded(self, streams: Collection[str]) -> set[str]:
        """See :class:`~eatool.store.port.EventStore`."""
        return {each for each in streams if each in self._state.streams}

    def on_append(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """See :class:`~eatool.store.port.EventStore`."""
        return self._listeners.add(wake)

    def tidy(self) -> None:
        """Nothing to tidy."""

    def close(self) -> None:
        """Nothing to release."""
