"""Decides transactions of one batch, in order, on what the log's tables say.

One place for the rules, shared by the SQL adapter (which loads the part of the state that a
batch touches) and the in-memory twin (which keeps all of it). A later transaction sees the
accepted ones before it; a refused one leaves no trace. Within one transaction the constraints
hold for its *end*: entities that name each other can be written, and deleted, together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from eatool.domain.landscape import Constraints
from eatool.store.encoding import category_of
from eatool.store.port import (
    LOOKBACK,
    NEVER_MOVED,
    UNCONSTRAINED,
    Append,
    ConditionFailed,
    EventIdTaken,
    KeyTaken,
    ReferenceGone,
    StaleEpoch,
    StillReferenced,
    Transaction,
    WrongExpectedVersion,
)


class StreamHead(NamedTuple):
    """Newest version of a stream and whether its entity exists."""

    version: int
    alive: bool


class KeyHold(NamedTuple):
    """Who holds a unique key, or held it last when not ``live``."""

    holder: str
    live: bool


#: ``(field, target stream, hard)``; a shared key is kept as a soft reference to the key.
Reference = tuple[str, str, bool]
#: "Field" of a shared key; with its blank it cannot be one.
SHARED: Final = "shared key"

ABSENT = StreamHead(0, alive=False)
UNHELD = KeyHold("", live=False)
_NO_REFERENCES: frozenset[Reference] = frozenset()
_NO_KEYS: frozenset[str] = frozenset()


@dataclass(slots=True)
class Changed:
    """What a batch has changed in the state.

    Attributes:
        streams: those that came to life or died, whether they are alive now.
        keys: those taken or released.
        fences: those that moved.
        references: what they were, by source stream.

    """

    streams: dict[str, bool] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    fences: set[str] = field(default_factory=set)
    references: dict[str, frozenset[Reference]] = field(default_factory=dict)


@dataclass(slots=True)
class LogState:
    """What constraints are decided on.

    Attributes:
        position: end of the log that it describes.
        streams: heads by stream id.
        keys: holds by unique key.
        held: live keys by stream.
        references: outgoing references by source stream.
        referrers: live sources by target stream.
        whole: streams whose keys and references are loaded, not only their head.
        asked: whether any append of the batch has conditions, so that types matter.
        type_heads: newest position by event type, by category.
        fenced: whether any append of the batch has a fence.
        fences: epochs by name; 0 = never moved.
        recorded: events by id that may be repeated, with their stream.
        changed: by the batch being decided.

    """

    position: int = 0
    streams: dict[str, StreamHead] = field(default_factory=dict)
    keys: dict[str, KeyHold] = field(default_factory=dict)
    held: dict[str, frozenset[str]] = field(default_factory=dict)
    references: dict[str, frozenset[Reference]] = field(default_factory=dict)
    referrers: dict[str, set[str]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    asked: bool = False
    type_heads: dict[str, dict[str, int]] = field(default_factory=dict)
    fenced: bool = False
    fences: dict[str, int] = field(default_factory=dict)
    recorded: dict[UUID, str] = field(default_factory=dict)
    changed: Changed = field(default_factory=Changed)

    def settled(self) -> LogState:
        """Drop what mattered to one batch only; the same object."""
        self.referrers, self.type_heads, self.recorded = {}, {}, {}
        self.asked = self.fenced = False
        return self

    def put_key(self, key: str, hold: KeyHold) -> None:
        """Load one reservation."""
        self.keys[key] = hold
        if hold.live:
            self.held[hold.holder] = self.held.get(hold.holder, _NO_KEYS) | {key}

    def put_type(self, stream_id: str, type_: str, position: int) -> None:
        """Load one event that append conditions may ask about, in log order."""
        self.type_heads.setdefault(category_of(stream_id), {})[type_] = position

    def put_reference(self, source: str, reference: Reference) -> None:
        """Load one outgoing reference."""
        self.references[source] = self.references.get(source, _NO_REFERENCES) | {reference}
        self.referrers.setdefault(reference[1], set()).add(source)

    def repeated(self, transaction: Transaction) -> bool:
        """Whether every event of the transaction is in its stream already.

        Raises :class:`EventIdTaken` when only some are, or in other streams.
        """
        recorded = self.recorded
        if not recorded:
            return False
        events = known = 0
        for append in transaction:
            for event in append.events:
                events += 1
                stream_id = recorded.get(event.event_id)
                if stream_id == append.stream_id:
                    known += 1
                elif stream_id is not None:
                    raise EventIdTaken(f"{event.event_id} is recorded in {stream_id}")
        if known and known != events:
            raise EventIdTaken(f"{known} of {events} events are recorded")
        return known > 0

    def check(self, transaction: Transaction) -> dict[str, StreamHead]:
        """The stream heads after the transaction.

        Raises :class:`AppendRefused` or :class:`StaleEpoch`.
        """
        if self.fenced:
            self._check_fences(transaction)
        if len(transaction) == 1 and transaction[0].constraints is UNCONSTRAINED:
            return self._check_version(transaction[0])
        after: dict[str, StreamHead] = {}
        last: dict[str, Constraints] = {}
        for append in transaction:
            stream_id, constraints = append.stream_id, append.constraints
            head = after.get(stream_id) or self.streams.get(stream_id, ABSENT)
            if head.version != append.expected_version:
                raise WrongExpectedVersion(stream_id, append.expected_version, head.version)
            after[stream_id] = StreamHead(
                head.version + len(append.events), not constraints.no_referrers
            )
            last[stream_id] = constraints
        claimed: dict[str, str] = {}
        for append in transaction:
            constraints = append.constraints
            self._check_alive(append, after)
            final = last[append.stream_id] is constraints
            if constraints.keys and final and not constraints.no_referrers:
                self._check_keys(append, last, claimed)
            if constraints.no_referrers and not after[append.stream_id].alive:
                self._check_referrers(append, last)
            if constraints.shared and final and not constraints.no_referrers:
                self._check_shared(append, last)
            if constraints.no_events_since:
                self._check_conditions(append)
        return after

    def _check_fences(self, transaction: Transaction) -> None:
        for append in transaction:
            fence = append.fence
            if fence is None:
                continue
            actual = self.fences.get(fence.name, NEVER_MOVED)
            if actual != fence.epoch:
                raise StaleEpoch(fence.name, fence.epoch, actual)

    def _check_version(self, append: Append) -> dict[str, StreamHead]:
        stream_id, expected = append.stream_id, append.expected_version
        head = self.streams.get(stream_id, ABSENT)
        if head.version != expected:
            raise WrongExpectedVersion(stream_id, expected, head.version)
        return {stream_id: StreamHead(expected + len(append.events), alive=True)}

    def _check_alive(self, append: Append, after: Mapping[str, StreamHead]) -> None:
        for ref in append.constraints.requires_alive:
            target = ref.stream_id
            head = after.get(target) or self.streams.get(target, ABSENT)
            if not head.alive:
                raise ReferenceGone(f"{append.stream_id}: {target} is not recorded or deleted")

    def _check_keys(
        self, append: Append, last: Mapping[str, Constraints], claimed: dict[str, str]
    ) -> None:
        stream_id = append.stream_id
        for key in append.constraints.keys:
            hold = self.keys.get(key)
            if hold is not None and hold.live and hold.holder != stream_id:
                leaver = last.get(hold.holder)
                if leaver is None or (key in leaver.keys and not leaver.no_referrers):
                    raise KeyTaken(key, hold.holder)
            other = claimed.setdefault(key, stream_id)
            if other != stream_id:
                raise KeyTaken(key, other)

    def _check_shared(self, append: Append, last: Mapping[str, Constraints]) -> None:
        for hold in append.constraints.shared:
            if hold.beside is None:
                continue
            known = {(ref.stream_id, version) for ref, version in hold.beside}
            sharers = self.referrers.get(hold.key, set()) - last.keys()
            sharers |= {
                stream_id
                for stream_id, constraints in last.items()
                if not constraints.no_referrers
                and any(each.key == hold.key for each in constraints.shared)
            }
            for other in sharers - {append.stream_id}:
                version = self.streams.get(other, ABSENT).version
                if (other, version) not in known:
                    raise ConditionFailed(
                        f"{append.stream_id}: {other} at version {version} shares {hold.key!r}, "
                        "which the decision did not know"
                    )

    def _check_referrers(self, append: Append, last: Mapping[str, Constraints]) -> None:
        target = append.stream_id
        ignored = {ref.stream_id for ref in append.constraints.ignoring} | {target}
        sources = self.referrers.get(target, set()) - last.keys()
        sources |= {
            source
            for source, constraints in last.items()
            if not constraints.no_referrers
            and any(ref.stream_id == target for _, ref, _ in constraints.references)
        }
        blocking = sources - ignored
        if blocking:
            raise StillReferenced(f"{target} is named by {min(blocking)}")

    def _check_conditions(self, append: Append) -> None:
        if self.position - append.decided_at > LOOKBACK:
            raise ConditionFailed(
                f"{append.stream_id}: decided at {append.decided_at}, "
                f"more than {LOOKBACK} events before {self.position}"
            )
        for category, prefix in append.constraints.no_events_since:
            for type_, position in self.type_heads.get(category, {}).items():
                if position > append.decided_at and type_.startswith(prefix):
                    raise ConditionFailed(
                        f"{append.stream_id}: {type_} in {category} at position {position}, "
                        f"decided at {append.decided_at}"
                    )

    def accept(
        self, transaction: Transaction, after: Mapping[str, StreamHead], position: int
    ) -> None:
        """Take over an accepted transaction whose first event gets ``position``."""
        for stream_id, head in after.items():
            was = self.streams.get(stream_id, ABSENT)
            if was.version == 0 or was.alive is not head.alive:
                self.changed.streams[stream_id] = head.alive
            self.streams[stream_id] = head
        for append in transaction:
            stream_id, constraints = append.stream_id, append.constraints
            if append.fence is not None and append.fence.moves_to is not None:
                self.fences[append.fence.name] = append.fence.moves_to
                self.changed.fences.add(append.fence.name)
            for event in append.events:
                self.recorded[event.event_id] = stream_id
                if self.asked:
                    self.put_type(stream_id, event.type, position)
                position += 1
            gone = constraints.no_referrers
            self._hold(stream_id, _NO_KEYS if gone else constraints.keys)
            self._refer(stream_id, _NO_REFERENCES if gone else _references(constraints))

    def _hold(self, stream_id: str, keys: frozenset[str]) -> None:
        before = self.held.get(stream_id, _NO_KEYS)
        if before == keys:
            return
        for key in before - keys:
            # Another stream of the same transaction may have taken it over already.
            if self.keys[key].holder == stream_id:
                self.keys[key] = KeyHold(stream_id, live=False)
        for key in keys:
            self.keys[key] = KeyHold(stream_id, live=True)
        self.held[stream_id] = keys
        self.changed.keys |= before ^ keys

    def _refer(self, stream_id: str, references: frozenset[Reference]) -> None:
        before = self.references.get(stream_id, _NO_REFERENCES)
        if before == references:
            return
        self.changed.references.setdefault(stream_id, before)
        for _, target, _ in before:
            self.referrers.get(target, set()).discard(stream_id)
        for _, target, _ in references:
            self.referrers.setdefault(target, set()).add(stream_id)
        self.references[stream_id] = references


def _references(constraints: Constraints) -> frozenset[Reference]:
    if not constraints.references and not constraints.shared:
        return _NO_REFERENCES
    named = frozenset((name, ref.stream_id, hard) for name, ref, hard in constraints.references)
    return named | {(SHARED, hold.key, False) for hold in constraints.shared}
