"""What a batch needs from the database, and what it writes to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from eatool.store.arbiter import ABSENT, UNHELD, KeyHold, LogState, Reference
from eatool.store.batch import Batch, Encoded
from eatool.store.encoding import StoredEvent
from eatool.store.port import NEVER_MOVED, UNCONSTRAINED, Append


@dataclass(slots=True)
class Wanted:
    """Keys of the rows that the constraints of a batch are decided on."""

    streams: set[str] = field(default_factory=set)
    appended: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    #: Streams and shared keys whose referrers matter.
    named: set[str] = field(default_factory=set)
    #: Oldest position that a decision with conditions was based on.
    decided_at: int | None = None
    fences: set[str] = field(default_factory=set)

    @classmethod
    def by(cls, batch: Iterable[Encoded]) -> Wanted:
        """Collect over all transactions."""
        wanted = cls()
        appended = wanted.appended
        for encoded in batch:
            for append in encoded.transaction:
                appended.add(append.stream_id)
                if append.constraints is not UNCONSTRAINED:
                    wanted.constrain(append)
                if append.fence is not None:
                    wanted.fences.add(append.fence.name)
        wanted.streams |= appended
        return wanted

    def constrain(self, append: Append) -> None:
        """Add what the constraints of one append ask about."""
        constraints = append.constraints
        self.keys |= constraints.keys
        self.streams.update([ref.stream_id for ref in constraints.requires_alive])
        if constraints.no_referrers:
            self.named.add(append.stream_id)
        for hold in constraints.shared:
            if hold.beside is not None:
                self.named.add(hold.key)
                self.streams.update([ref.stream_id for ref, _ in hold.beside])
        if constraints.no_events_since and (
            self.decided_at is None or append.decided_at < self.decided_at
        ):
            self.decided_at = append.decided_at

    def beyond(self, state: LogState) -> Wanted:
        """What of it the state does not hold yet.

        The time this takes grows with what is wanted, not with the state.
        """
        return Wanted(
            streams=self.streams.difference(state.streams),
            appended=self.appended - state.whole,
            keys=self.keys.difference(state.keys),
            named=self.named,
            decided_at=self.decided_at,
            fences=self.fences.difference(state.fences),
        )

    @property
    def nothing(self) -> bool:
        """Whether no row is wanted."""
        return not (
            self.streams
            or self.appended
            or self.keys
            or self.named
            or self.fences
            or self.decided_at is not None
        )

    def settle(self, state: LogState) -> None:
        """After loading: what was not found is known to be absent."""
        for stream_id in self.streams.difference(state.streams):
            state.streams[stream_id] = ABSENT
        for key in self.keys.difference(state.keys):
            state.keys[key] = UNHELD
        for name in self.fences.difference(state.fences):
            state.fences[name] = NEVER_MOVED
        state.whole |= self.appended
        state.asked = self.decided_at is not None
        state.fenced = bool(self.fences)


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
    streams = state.streams
    return [
        encoded
        for encoded in batch
        if [
            append
            for append in encoded.transaction
            if streams[append.stream_id].version != append.expected_version
        ]
    ]


@dataclass(frozen=True, slots=True)
class Rows:
    """New and changed rows of one commit, by table."""

    events: Sequence[StoredEvent]
    streams: Sequence[tuple[str, bool]]
    keys: Sequence[tuple[str, KeyHold]]
    dropped: Sequence[tuple[str, Reference]]
    added: Sequence[tuple[str, Reference]]
    fences: Sequence[tuple[str, int]]

    @classmethod
    def of(cls, batch: Batch, events: Sequence[StoredEvent]) -> Rows:
        """Of a batch whose transactions are all decided, with the events not written yet."""
        state, changed = batch.state, batch.state.changed
        dropped: list[tuple[str, Reference]] = []
        added: list[tuple[str, Reference]] = []
        for source, before in changed.references.items():
            references = state.references[source]
            dropped += [(source, reference) for reference in before - references]
            added += [(source, reference) for reference in references - before]
        return cls(
            events=events,
            streams=list(changed.streams.items()),
            keys=[(key, state.keys[key]) for key in changed.keys],
            dropped=dropped,
            added=added,
            fences=[(name, state.fences[name]) for name in changed.fences],
        )
