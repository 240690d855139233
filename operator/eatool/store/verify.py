"""Proof, on a user's own database, that the log is what the log promises.

``verify_chain`` recomputes every hash; ``verify_ordering`` needs no hash and can tail the log
while writers run: every position must be seen by a plain tailing reader, once and in order.
Both read pages of the stored form, so memory is bounded by the number of streams (and, while
following, 16 bytes for each event seen).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from eatool.store.encoding import GENESIS, StoredEvent
from eatool.store.port import Head

PAGE: Final = 5000
#: Pause of a tailing reader that has reached the end, seconds.
POLL_SECONDS: Final = 0.02

#: ``progress(done, total)`` in events; called once a page.
Progress = Callable[[int, int], None]


class StoredLog(Protocol):
    """What verification reads."""

    def read_stored(self, *, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        """Events in the stored form."""
        ...

    def head(self) -> Head:
        """The head row."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong.

    ``check`` is one of ``position``, ``previous_hash``, ``hash``, ``version``, ``recorded_at``,
    ``head``, ``seen``.
    """

    position: int
    check: str
    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class Report:
    """Outcome of one verification; ``fault`` is ``None`` for a sound log.

    ``first`` and ``last`` are the positions looked at, ``hash`` the digest of the last event
    (hex): publish it, and a later verification shows whether history changed before it.
    """

    first: int
    last: int
    events: int
    streams: int
    hash: str
    seconds: float
    fault: Fault | None

    @property
    def sound(self) -> bool:
        """Nothing wrong was found."""
        return self.fault is None


def _quiet(_done: int, _total: int) -> None:
    """No progress wanted."""


def verify_chain(
    log: StoredLog, *, first: int = 1, last: int | None = None, progress: Progress = _quiet
) -> Report:
    """Check positions, versions, times and the hash chain from ``first`` to ``last``.

    ``last`` defaults to the head at the start; then the head row must agree too. With ``first``
    over 1 the chain starts from the recorded hash of the event before.
    """
    return _verify(log, first, last, progress, with_hashes=True)


def verify_ordering(
    log: StoredLog,
    *,
    first: int = 1,
    last: int | None = None,
    follow: float = 0.0,
    progress: Progress = _quiet,
) -> Report:
    """Check positions, versions and times; then tail the log for ``follow`` seconds.

    After tailing, what was seen is compared with what is recorded: an event that became visible
    behind the reader's back, or vanished, is a fault of check ``seen``.
    """
    report = _verify(log, first, last, progress, with_hashes=False)
    if follow <= 0 or not report.sound:
        return report
    return _follow(log, report, follow)


def _verify(
    log: StoredLog, first: int, last: int | None, progress: Progress, *, with_hashes: bool
) -> Report:
    started = time.monotonic()
    head = log.head()
    end = head.position if last is None else min(last, head.position)
    before = log.read_stored(after=first - 2, limit=1) if first > 1 else []
    check = _Check(first, before[0].hash if before else GENESIS, with_hashes=with_hashes)
    for page in _pages(log, first - 1, end):
        check.feed(page)
        progress(check.events, end - first + 1)
        if check.fault is not None:
            break
    check.finish(end)
    if end == head.position and first <= end + 1:
        check.compare(head)
    return check.report(time.monotonic() - started)


def _pages(log: StoredLog, after: int, end: int) -> Iterator[list[StoredEvent]]:
    while after < end:
        page = [row for row in log.read_stored(after=after, limit=PAGE) if row.position <= end]
        if not page:
            return
        yield page
        after = page[-1].position


def _follow(log: StoredLog, report: Report, seconds: float) -> Report:
    started = time.monotonic()
    check = _Check(report.last + 1, bytes.fromhex(report.hash), with_hashes=False)
    seen = bytearray()
    after = report.last
    while check.fault is None and time.monotonic() < started + seconds:
        page = log.read_stored(after=after, limit=PAGE)
        if not page:
            time.sleep(POLL_SECONDS)
            continue
        check.feed(page)
        after = page[-1].position
        seen += b"".join(row.event_id.bytes for row in page)
    if check.fault is None:
        check.fault = _compare_seen(log, report.last, after, seen)
    tail = check.report(time.monotonic() - started)
    return Report(
        first=report.first,
        last=after,
        events=report.events + tail.events,
        streams=max(report.streams, tail.streams),
        hash=tail.hash,
        seconds=report.seconds + tail.seconds,
        fault=tail.fault,
    )


def _compare_seen(log: StoredLog, after: int, end: int, seen: bytearray) -> Fault | None:
    """Read the followed part again: the same events must be at the same places."""
    at = 0
    for page in _pages(log, after, end):
        for row in page:
            if seen[at : at + 16] != row.event_id.bytes:
                return Fault(row.position, "seen", bytes(seen[at : at + 16]).hex(), "another event")
            at += 16
    if at != len(seen):
        return Fault(end, "seen", f"{len(seen) // 16} events", f"{at // 16} events")
    return None


class _Check:
    """The state of one pass; stops looking at the first fault."""

    def __init__(self, first: int, previous: bytes, *, with_hashes: bool) -> None:
        self.first = first
        self.events = 0
        self.fault: Fault | None = None
        self._position = first - 1
        self._hash = previous
        self._recorded_at: datetime | None = None
        self._versions: dict[str, int] = {}
        self._with_hashes = with_hashes

    def feed(self, page: Sequence[StoredEvent]) -> None:
        """Look at the next events."""
        for row in page:
            self.fault = self._misplaced(row)
            if self.fault is None and self._with_hashes:
                self.fault = self._altered(row)
            if self.fault is not None:
                return
            self._position = row.position
            self._hash = row.hash
            self._recorded_at = row.recorded_at
            self._versions[row.stream_id] = row.version
            self.events += 1

    def _misplaced(self, row: StoredEvent) -> Fault | None:
        position = self._position + 1
        if row.position != position:
            return Fault(position, "position", str(position), str(row.position))
        # Streams that began before ``first`` are continuous from where they are met.
        unknown = 0 if self.first == 1 else row.version - 1
        version = self._versions.get(row.stream_id, unknown) + 1
        if row.version != version:
            return Fault(
                position, "version", f"{row.stream_id} {version}", f"{row.stream_id} {row.version}"
            )
        if self._recorded_at is not None and row.recorded_at < self._recorded_at:
            return Fault(
                position,
                "recorded_at",
                f"{self._recorded_at.isoformat()} or later",
                row.recorded_at.isoformat(),
            )
        return None

    def _altered(self, row: StoredEvent) -> Fault | None:
        position = row.position
        if row.previous_hash != self._hash:
            return Fault(position, "previous_hash", self._hash.hex(), row.previous_hash.hex())
        digest = row.expected_hash(self._hash)
        if row.hash != digest:
            return Fault(position, "hash", digest.hex(), row.hash.hex())
        return None

    def finish(self, end: int) -> None:
        """The pass must have reached ``end``."""
        if self.fault is None and self._position < end:
            missing = self._position + 1
            self.fault = Fault(missing, "position", str(missing), f"nothing up to {end}")

    def compare(self, head: Head) -> None:
        """The head row must name the last event."""
        if self.fault is not None:
            return
        if self._hash != head.hash:
            self.fault = Fault(head.position, "head", self._hash.hex(), head.hash.hex())
        elif self.events and self._recorded_at != head.recorded_at:
            self.fault = Fault(head.position, "head", str(self._recorded_at), str(head.recorded_at))

    def report(self, seconds: float) -> Report:
        """What was found."""
        return Report(
            first=self.first,
            last=self._position,
            events=self.events,
            streams=len(self._versions),
            hash=self._hash.hex(),
            seconds=seconds,
            fault=self.fault,
        )
