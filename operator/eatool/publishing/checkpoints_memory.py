"""Checkpoints in memory: the twin for tests, and for brokers nobody needs to remember."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from eatool.publishing.checkpoints import Claim, Cursor, CursorState, ParkedStream, Plan
from eatool.store.port import PARTITIONS


class MemoryCheckpoints:
    """See :class:`~eatool.publishing.checkpoints.Checkpoints`; thread-safe."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._cursors: dict[str, list[CursorState]] = {}
        self._members: dict[str, dict[str, datetime]] = {}
        self._parked: dict[str, dict[str, ParkedStream]] = {}

    def claim(self, destination: str, owner: str, *, lease: float, start: int = 0) -> Claim:
        """See the port."""
        with self._lock:
            now = self._clock()
            until = now + timedelta(seconds=lease)
            cursors = self._begin(destination, start)
            members = {
                name: seen
                for name, seen in self._members.get(destination, {}).items()
                if seen > now
            }
            self._members[destination] = {**members, owner: until}
            plan = Plan.of(cursors, self._members[destination], owner, now)
            for each in plan.claim.held:
                cursors[each.partition] = replace(
                    cursors[each.partition], epoch=each.epoch, owner=owner, lease_until=until
                )
            return plan.claim

    def begin(self, destination: str, start: int) -> None:
        """See the port."""
        with self._lock:
            self._begin(destination, start)

    def save(self, destination: str, owner: str, cursors: Sequence[Cursor]) -> frozenset[int]:
        """See the port."""
        refused = set()
        with self._lock:
            for cursor in cursors:
                if not self._holds(destination, owner, cursor.partition, cursor.epoch):
                    refused.add(cursor.partition)
                    continue
                stored = self._cursors[destination]
                present = stored[cursor.partition]
                if cursor.position > present.position:
                    stored[cursor.partition] = replace(
                        present, position=cursor.position, sent=cursor.sent
                    )
        return frozenset(refused)

    def release(self, destination: str, owner: str, partitions: Collection[int]) -> None:
        """See the port."""
        with self._lock:
            self._release(destination, owner, partitions)

    def leave(self, destination: str, owner: str) -> None:
        """See the port."""
        with self._lock:
            self._release(destination, owner, range(PARTITIONS))
            self._members.get(destination, {}).pop(owner, None)

    def cursors(self, destination: str) -> list[CursorState]:
        """See the port."""
        with self._lock:
            return list(self._cursors.get(destination, ()))

    def destinations(self) -> list[str]:
        """See the port."""
        with self._lock:
            return sorted(self._cursors)

    def forget(self, destination: str) -> bool:
        """See the port."""
        with self._lock:
            now = self._clock()
            if any(until > now for until in self._members.get(destination, {}).values()):
                return False
            self._cursors.pop(destination, None)
            self._members.pop(destination, None)
            self._parked.pop(destination, None)
            return True

    def park(self, destination: str, owner: str, epoch: int, stream: ParkedStream) -> bool:
        """See the port."""
        with self._lock:
            if not self._holds(destination, owner, stream.partition, epoch):
                return False
            self._parked.setdefault(destination, {})[stream.stream_id] = stream
            return True

    def parked(
        self, destination: str, partitions: Collection[int] | None = None
    ) -> list[ParkedStream]:
        """See the port."""
        with self._lock:
            found = [
                stream
                for stream in self._parked.get(destination, {}).values()
                if partitions is None or stream.partition in partitions
            ]
        return sorted(found, key=lambda stream: (stream.parked_at, stream.stream_id))

    def request_resend(self, destination: str, stream_id: str) -> bool:
        """See the port."""
        with self._lock:
            streams = self._parked.get(destination, {})
            if stream_id not in streams:
                return False
            streams[stream_id] = replace(streams[stream_id], resend_requested=True)
            return True

    def unpark(self, destination: str, owner: str, epoch: int, stream: ParkedStream) -> bool:
        """See the port."""
        with self._lock:
            if not self._holds(destination, owner, stream.partition, epoch):
                return False
            self._parked.get(destination, {}).pop(stream.stream_id, None)
            return True

    def _begin(self, destination: str, start: int) -> list[CursorState]:
        return self._cursors.setdefault(
            destination, [CursorState(each, start, 0, None, None) for each in range(PARTITIONS)]
        )

    def _holds(self, destination: str, owner: str, partition: int, epoch: int) -> bool:
        cursors = self._cursors.get(destination)
        if cursors is None:
            return False  # forgotten meanwhile
        cursor = cursors[partition]
        return cursor.owner == owner and cursor.epoch == epoch

    def _release(self, destination: str, owner: str, partitions: Collection[int]) -> None:
        cursors = self._cursors.get(destination, [])
        for each in cursors:
            if each.owner == owner and each.partition in partitions:
                cursors[each.partition] = replace(each, owner=None, lease_until=None)
