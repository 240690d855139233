"""The event log as its callers see it: append with constraints, read, and nothing else.

Three adapters implement it: SQL (SQLite, PostgreSQL) and the in-memory twin for tests of other
layers. All pass the same contract suite (``tests/contracts``).

Guarantees of every adapter:

* position order is commit order, without gaps: a reader that has seen position *n* never later
  finds a new event at or below *n*;
* versions of one stream are 1, 2, 3, ... without gaps, over deletions and re-creations;
* an append is all or nothing; repeating it (same event ids) succeeds and adds nothing;
* ``recorded_at`` never decreases with position, so "as of T" is a position;
* each event carries the hash of its predecessor: a changed, removed or inserted row shows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from eatool.domain.events import JsonObject
from eatool.domain.identity import EntityRef
from eatool.domain.landscape import Constraints

#: Streams hash onto this many partitions; consumers lease partitions, never single streams.
#: Fixed for the life of a log, because the partition is stored with each event.
PARTITIONS = 64

#: Events that an append condition looks back over, under the log's lock.
LOOKBACK = 10_000


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before the log has given it a place.

    ``type`` is versioned (``ApplicationCreated.v1``). ``data`` and ``metadata`` are JSON objects;
    the log refuses data over 64 KiB and metadata over 8 KiB (:class:`EventTooLarge`).
    """

    event_id: UUID
    type: str
    data: JsonObject
    metadata: JsonObject
    actor: str
    correlation_id: UUID | None = None
    causation_id: UUID | None = None


class RecordedEvent(NamedTuple):
    """An event in the log; read through the upcasters, so ``type`` is the newest version.

    ``previous_hash`` and ``hash`` are SHA-256 digests (32 bytes) over the stored form.
    """

    position: int
    stream_id: str
    version: int
    event_id: UUID
    type: str
    data: JsonObject
    metadata: JsonObject
    actor: str
    correlation_id: UUID | None
    causation_id: UUID | None
    recorded_at: datetime
    partition: int
    previous_hash: bytes
    hash: bytes

    @property
    def ref(self) -> EntityRef:
        """The entity the event is about."""
        return EntityRef.parse(self.stream_id)


UNCONSTRAINED: Final = Constraints()


#: Epoch of every fence that nobody has moved.
NEVER_MOVED: Final = 0


@dataclass(frozen=True, slots=True)
class Fence:
    """The epoch under which an append was decided, of something that decides who may write.

    Attributes:
        name: of the fence; any number of them live side by side.
        epoch: must be the fence's when the append commits; 0 = it has never moved.
        moves_to: the fence's epoch from this append on, greater than ``epoch``. Every later
            append under the old one is refused: those of this process, of others, and of those
            that were cut off.

    """

    name: str
    epoch: int
    moves_to: int | None = None

    def __post_init__(self) -> None:
        """Refuse to move backwards; ``ValueError``."""
        if self.moves_to is not None and self.moves_to <= self.epoch:
            raise ValueError(f"{self.name}: {self.moves_to} does not come after {self.epoch}")


@dataclass(frozen=True, slots=True)
class Append:
    """Events for one stream at an expected version (0 = the stream has no events yet)."""

    stream_id: str
    expected_version: int
    events: tuple[NewEvent, ...]
    constraints: Constraints = UNCONSTRAINED
    #: Log position the decision was based on; for ``Constraints.no_events_since``. More than
    #: :data:`LOOKBACK` positions behind the head, such a decision is refused unread.
    decided_at: int = 0
    #: Who may write has not changed since the decision; none = nobody can take that away.
    fence: Fence | None = None


#: Appends that commit together or not at all (several streams in one transaction).
Transaction = tuple[Append, ...]


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of one :class:`Transaction`.

    ``repeated``: these very events were already in the log; nothing was added.
    """

    events: tuple[RecordedEvent, ...]
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log: position 0, zero hash and no time for an empty one."""

    position: int
    hash: bytes
    recorded_at: datetime | None


class StoreError(Exception):
    """Base of everything the log raises."""


class StoreUnavailable(StoreError):
    """The database cannot be reached or asks to come back later. Retry with backoff."""


class EventTooLarge(StoreError):
    """Data or metadata over the limit, or over 100 events for one stream at once.

    Retrying does not help.
    """


class InvalidEvent(StoreError):
    """Not an event the log can hold exactly: NaN, NUL characters, no events at all.

    Retrying does not help.
    """


class UnknownEventVersion(StoreError):
    """The log holds an event type or version that this release cannot read."""


class ProjectionFailed(StoreError):
    """An inline projection raised on the event; its transaction was rolled back.

    A defect of the projection, not of the event: retrying helps only after an upgrade.
    """


class StaleEpoch(StoreError):
    """The fence of an append has moved on: somebody else may write now, and under other rules.

    Deciding anew under the old epoch helps nobody: find out first what holds now.
    """

    def __init__(self, name: str, epoch: int, actual: int) -> None:
        super().__init__(f"{name}: decided under epoch {epoch}, the fence is at {actual}")
        self.name, self.epoch, self.actual = name, epoch, actual


class AppendRefused(StoreError):
    """A constraint no longer holds: fold the stream again and decide anew."""


class WrongExpectedVersion(AppendRefused):
    """Somebody else appended to the stream first."""

    def __init__(self, stream_id: str, expected: int, actual: int) -> None:
        super().__init__(f"{stream_id}: expected version {expected}, stream is at {actual}")
        self.stream_id, self.expected, self.actual = stream_id, expected, actual


class EventIdTaken(AppendRefused):
    """Some, not all, events of the transaction are in the log: it is not a repeat of one append."""


class KeyTaken(AppendRefused):
    """A unique key belongs to another live entity."""

    def __init__(self, key: str, holder: str) -> None:
        super().__init__(f"{key!r} is held by {holder}")
        self.key, self.holder = key, holder


class ReferenceGone(AppendRefused):
    """A hard reference is not recorded, or deleted."""


class StillReferenced(AppendRefused):
    """The deletion met a live entity that names this one."""


class ConditionFailed(AppendRefused):
    """An event that the decision did not know of was recorded in the meantime."""


#: One outcome per transaction, in order; a refusal never affects its neighbours in the batch.
Outcome = Appended | StoreError


class EventStore(Protocol):
    """The log. Methods block; call them from a worker thread in asyncio code."""

    def append_batch(self, transactions: Sequence[Transaction]) -> list[Outcome]:
        """Group commit: decide each transaction on its own, write the accepted ones at once.

        Raises :class:`StoreUnavailable` only when nothing of the batch is known to be recorded.
        """
        ...

    def append(self, *appends: Append) -> Appended:
        """One transaction; raises the outcome when it is an error."""
        ...

    def read_stream(
        self, stream_id: str, *, after_version: int = 0, until: datetime | None = None
    ) -> list[RecordedEvent]:
        """Events of one stream by version, optionally only those recorded up to ``until``."""
        ...

    def read_all(
        self, *, after: int = 0, limit: int = 1000, partitions: Collection[int] | None = None
    ) -> list[RecordedEvent]:
        """At most ``limit`` events with a position greater than ``after``, in order."""
        ...

    def head(self) -> Head:
        """The newest committed position."""
        ...

    def position_at(self, time: datetime) -> int:
        """Position of the last event recorded at or before ``time`` (0 if none)."""
        ...

    def recorded(self, streams: Collection[str]) -> set[str]:
        """Which of these streams have events; reads none of them."""
        ...

    def on_append(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """Call ``wake(position)`` after commits of this process; returns the unsubscriber.

        A hint for latency only: other processes' commits are found by polling.
        """
        ...

    def close(self) -> None:
        """Release connections and threads; pending batches finish first."""
        ...
