"""Whose turn it is: the order in which streams that have something to send get to send it.

By the position of their next events, but two kinds of streams stand back: suspects, which are sent
alone after all others, and streams that had a setback since their last acknowledgement. So the
one message that tries a broken destination is another one each time, and no event can keep the
others of its destination from flowing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container

from eatool.publishing.backlog import Backlog
from eatool.store.encoding import StoredEvent


class Lineup:
    """Streams of a backlog, none of them in flight when it is their turn."""

    def __init__(self, backlog: Backlog, flights: Container[str], suspects: Container[str]) -> None:
        self._backlog = backlog
        self._flights = flights
        self._suspects = suspects
        self._ready: deque[str] = deque()
        self._blocked: set[str] = set()
        self._held_back: set[int] = set()
        #: How often each stream failed since its last acknowledgement, no fault of its own.
        self._setbacks: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._ready)

    def append(self, stream_id: str) -> None:
        """It has something to send, after those that are here."""
        self._ready.append(stream_id)

    def put_first(self, stream_id: str) -> None:
        """It had its turn but did not use it."""
        self._ready.appendleft(stream_id)

    def next(self) -> StoredEvent | None:
        """Take the first stream that may send; its next event, ``None`` when there is none."""
        ready, flights, blocked = self._ready, self._flights, self._blocked
        while ready:
            stream_id = ready.popleft()
            event = self._backlog.head(stream_id)
            if event is None or stream_id in flights or stream_id in blocked:
                continue
            if event.partition not in self._held_back:
                return event
        return None

    def renew(self) -> None:
        """Line up everything that waits."""
        flights, blocked = self._flights, self._blocked
        waiting = (key for key in self._backlog if key not in flights and key not in blocked)
        self._ready = deque(sorted(waiting, key=self._place))

    def set_back(self, stream_id: str) -> None:
        """Its event failed together with the session or the destination: others go first."""
        self._setbacks[stream_id] = self._setbacks.get(stream_id, 0) + 1

    def acknowledged(self, stream_id: str) -> None:
        """The broker took an event of it."""
        if self._setbacks:
            self._setbacks.pop(stream_id, None)

    def block(self, stream_id: str) -> None:
        """Send nothing of it until it is released or forgotten."""
        self._blocked.add(stream_id)

    def release(self, stream_id: str) -> None:
        """It may send again; call :meth:`append` or :meth:`put_first` for its turn."""
        self._blocked.discard(stream_id)

    def forget(self, stream_id: str) -> None:
        """Nothing of it is in the backlog any more."""
        self._blocked.discard(stream_id)
        self._setbacks.pop(stream_id, None)

    def hold_back(self, partitions: Collection[int]) -> bool:
        """Let exactly these partitions wait; whether others were released."""
        released = self._held_back - set(partitions)
        self._held_back = set(partitions)
        return bool(released)

    def drop(self, partitions: Collection[int]) -> None:
        """These partitions are not ours any more."""
        self._held_back.difference_update(partitions)
        self._ready = deque(key for key in self._ready if key in self._backlog)

    def _place(self, stream_id: str) -> tuple[bool, int, int]:
        setbacks = self._setbacks.get(stream_id, 0)
        return stream_id in self._suspects, setbacks, self._backlog.place(stream_id)
