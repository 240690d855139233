"""Current states of entities, folded from their streams, and a cache that cannot lie."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Protocol
from uuid import UUID

from pydantic import ValidationError

from eatool.domain.decision import EntityState
from eatool.domain.evolve import evolve, fold, read_event
from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntitySpec
from eatool.domain.kinds import KINDS
from eatool.projections.queries import Record
from eatool.registry.change import Annotations
from eatool.store.port import Head, RecordedEvent

#: Keys of the metadata that repeat an annotation which counted for the event.
_GIVEN = tuple(each.name for each in fields(Annotations))


@dataclass(frozen=True, slots=True)
class LastEvent:
    """What is known of the newest event of a stream besides the state it left.

    Attributes:
        given: what annotations said when it was recorded, by key of the metadata, whether or not
            it counted.
        correlation_id: ``None`` too, as ``given`` is empty, when only the read model was asked.

    """

    event_id: UUID
    uid: str
    generation: int
    position: int
    correlation_id: UUID | None = None
    given: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, event: RecordedEvent) -> LastEvent:
        """The same of a recorded event."""
        told = event.metadata
        counted = {name: told[name] for name in _GIVEN if name in told}
        return cls(
            event.event_id,
            told["uid"],
            told["generation"],
            event.position,
            event.correlation_id,
            {**counted, **told.get("spent", {})},
        )


@dataclass(frozen=True, slots=True)
class Folded:
    """An entity as its stream tells; ``last`` is ``None`` for an empty stream."""

    state: EntityState
    last: LastEvent | None = None


class Log(Protocol):
    """What the registry reads of the event store. Methods block; thread-safe."""

    def read_stream(
        self, stream_id: str, *, after_version: int = 0, until: datetime | None = None
    ) -> list[RecordedEvent]:
        """See :class:`~eatool.store.port.EventStore`."""
        ...

    def head(self) -> Head:
        """See :class:`~eatool.store.port.EventStore`."""
        ...


def fold_events(ref: EntityRef, events: Sequence[RecordedEvent]) -> Folded:
    """The state after a whole stream."""
    if not events:
        return Folded(EntityState(ref))
    recorded = ((event.type, event.data, event.version) for event in events)
    state = fold(KINDS[ref.aggregate_type], ref, recorded)
    return Folded(state, LastEvent.of(events[-1]))


def _continue(state: EntityState, events: Sequence[RecordedEvent]) -> EntityState:
    kind = KINDS[state.ref.aggregate_type]
    for event in events:
        state = evolve(state, read_event(kind, event.type, event.data))
    return state


def folded_of(record: Record) -> Folded | None:
    """The state a row of a read table stands for; ``None`` when today's rules cannot read it."""
    kind = KINDS[record.ref.aggregate_type]
    spec: EntitySpec | None = None
    if record.deleted_at is None:
        try:
            spec = kind.spec.model_validate(dict(record.fields), by_name=True)
        except ValidationError:
            return None  # accepted under older rules: the fold knows how to read it
    last = LastEvent(record.event_id, record.uid, record.generation, record.position)
    return Folded(EntityState(record.ref, record.version, spec), last)


class CachedStates:
    """Folded states of the most recently used streams.

    A kept state is never trusted unseen: each :meth:`fold` reads the stream from the event that
    the state ends with. If that event is not there (another process rewound the database to a
    backup), the whole stream is folded. So a hit costs one indexed read of usually one row and
    saves folding the history.
    """

    def __init__(self, log: Log, capacity: int = 20_000) -> None:
        self._log = log
        self._capacity = capacity
        self._kept: OrderedDict[EntityRef, Folded] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def full(self) -> bool:
        """Whether the next state would push out another one."""
        return len(self._kept) >= self._capacity

    def fold(self, ref: EntityRef) -> Folded:
        """The state at the end of the stream, not older than the call."""
        with self._lock:
            kept = self._kept.get(ref)
        if kept is not None and kept.last is not None:
            version = kept.state.version
            tail = self._log.read_stream(ref.stream_id, after_version=version - 1)
            if tail and tail[0].version == version and tail[0].event_id == kept.last.event_id:
                state = _continue(kept.state, tail[1:])
                return self._keep(Folded(state, LastEvent.of(tail[-1])))
        events = self._log.read_stream(ref.stream_id)
        if not events:
            self.drop(ref)
            return Folded(EntityState(ref))
        return self._keep(fold_events(ref, events))

    def put(self, folded: Folded) -> None:
        """Keep a state that was read or recorded elsewhere."""
        self._keep(folded)

    def drop(self, ref: EntityRef) -> None:
        """Distrust what is kept of ``ref``."""
        with self._lock:
            self._kept.pop(ref, None)

    def _keep(self, folded: Folded) -> Folded:
        with self._lock:
            self._kept[folded.state.ref] = folded
            self._kept.move_to_end(folded.state.ref)
            while len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return folded
