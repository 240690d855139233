"""What a batch needs from the database, and what it writes to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from eatool.store.arbiter import KeyHold, LogState, Reference, StreamHead
from eatool.store.batch import Batch, Encoded
from eatool.store.encoding import StoredEvent, category_of


@dataclass(slots=True)
class Wanted:
    """Keys of the rows that the constraints of a batch are decided on."""

    streams: set[str] = field(default_factory=set)
    appended: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    categories: set[str] = field(default_factory=set)

    @classmethod
    def by(cls, batch: Iterable[Encoded]) -> Wanted:
        """Collect over all transactions."""
        wanted = cls()
        for encoded in batch:
            for append in encoded.transaction:
                constraints = append.constraints
                wanted.appended.add(append.stream_id)
                wanted.keys |= constraints.keys
                wanted.streams.update(ref.stream_id for ref in constraints.requires_alive)
                wanted.categories.update(name for name, _ in constraints.no_events_since)
                if constraints.no_referrers:
                    wanted.deleted.add(append.stream_id)
        wanted.streams |= wanted.appended
        return wanted


def event_ids(batch: Iterable[Encoded]) -> list[UUID]:
    """Ids of all events, in order."""
    return [
        event.event_id
        for encoded in batch
        for append in encoded.transaction
        for event in append.events
    ]


def behind(batch: Iterable[Encoded], state: LogState) -> list[Encoded]:
    """Transactions that expect another version than recorded: conflicts, or repeats."""
    absent = StreamHead(0, alive=False)
    return [
        encoded
        for encoded in batch
        if any(
            state.streams.get(append.stream_id, absent).version != append.expected_version
            for append in encoded.transaction
        )
    ]


class Changes:
    """Rows to write for the accepted part of a batch.

    Made before deciding (to know what the state was), read after.
    """

    def __init__(self, state: LogState) -> None:
        self._keys = dict(state.keys)
        self._references = dict(state.references)

    def collect(self, batch: Batch) -> Rows:
        """Compare the state with what it was."""
        state = batch.state
        streams: dict[str, StreamHead] = {}
        types: dict[tuple[str, str], int] = {}
        for row in batch.rows:
            stream_id = row.stream_id
            streams[stream_id] = state.streams[stream_id]
            types[category_of(stream_id), row.type] = row.position
        dropped: list[tuple[str, Reference]] = []
        added: list[tuple[str, Reference]] = []
        for source, references in state.references.items():
            before = self._references.get(source, frozenset())
            if before is not references:
                dropped += [(source, reference) for reference in before - references]
                added += [(source, reference) for reference in references - before]
        return Rows(
            events=batch.rows,
            streams=list(streams.items()),
            types=list(types.items()),
            keys=[(key, hold) for key, hold in state.keys.items() if self._keys.get(key) != hold],
            dropped=dropped,
            added=added,
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """New and changed rows of one commit, by table."""

    events: Sequence[StoredEvent]
    streams: Sequence[tuple[str, StreamHead]]
    types: Sequence[tuple[tuple[str, str], int]]
    keys: Sequence[tuple[str, KeyHold]]
    dropped: Sequence[tuple[str, Reference]]
    added: Sequence[tuple[str, Reference]]
