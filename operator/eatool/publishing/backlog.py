"""Events read from the log and not acknowledged yet, in one queue for each stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterator

from eatool.store.encoding import StoredEvent


class Backlog:
    """Bounded by its readers: they stop while ``room`` is not set.

    Attributes:
        waiting: events in all queues, those in flight included.
        room: cleared at two pages, set again below one.

    """

    def __init__(self, page: int) -> None:
        self._page = page
        self._queues: dict[str, deque[StoredEvent]] = {}
        self.waiting = 0
        self.room = asyncio.Event()
        self.room.set()

    def __iter__(self) -> Iterator[str]:
        """Streams that have something waiting."""
        return iter(self._queues)

    def __contains__(self, stream_id: str) -> bool:
        return stream_id in self._queues

    def add(self, event: StoredEvent) -> bool:
        """Put one event behind those of its stream; True when it is the only one."""
        self.waiting += 1
        if self.waiting >= 2 * self._page:
            self.room.clear()
        queue = self._queues.get(event.stream_id)
        if queue is None:
            self._queues[event.stream_id] = deque((event,))
            return True
        queue.append(event)
        return False

    def head(self, stream_id: str) -> StoredEvent | None:
        """The next event of a stream."""
        queue = self._queues.get(stream_id)
        return None if queue is None else queue[0]

    def place(self, stream_id: str) -> int:
        """Log position of the next event of a stream that has one."""
        return self._queues[stream_id][0].position

    def finish(self, stream_id: str) -> bool:
        """Remove the next event of a stream; whether more follow."""
        queue = self._queues[stream_id]
        queue.popleft()
        if not queue:
            del self._queues[stream_id]
        self._less(1)
        return bool(queue)

    def take(self, stream_id: str) -> list[StoredEvent]:
        """Remove and return everything of one stream."""
        events = list(self._queues.pop(stream_id, ()))
        self._less(len(events))
        return events

    def streams_of(self, partitions: Collection[int]) -> list[str]:
        """Streams of some partitions."""
        return [key for key, queue in self._queues.items() if queue[0].partition in partitions]

    def oldest(self) -> StoredEvent | None:
        """The waiting event with the lowest position."""
        heads = (queue[0] for queue in self._queues.values())
        return min(heads, key=lambda event: event.position, default=None)

    def _less(self, count: int) -> None:
        self.waiting -= count
        if self.waiting < self._page:
            self.room.set()
