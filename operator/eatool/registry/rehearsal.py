"""Decide changes on top of each other without recording any of them."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from eatool.domain.evolve import read_event
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS
from eatool.domain.landscape import Landscape, Referrer, Sharer
from eatool.registry.folding import Log
from eatool.store.arbiter import LogState, StreamHead
from eatool.store.batch import encode
from eatool.store.clock import Clock, utc_now
from eatool.store.port import Append, Appended, AppendRefused, Head, RecordedEvent, StoreError

_UNPLACED = bytes(32)


class Rehearsal:
    """Log, appender and landscape of a registry whose changes stay in memory.

    Reads fall through to the real log and landscape. Appends obey the store's own rules, so two
    changes decided at the same time meet each other here as they would there. Positions are those
    the events would get if nobody else wrote; hashes are zero. Thread-safe.
    """

    def __init__(self, log: Log, landscape: Landscape, clock: Clock = utc_now) -> None:
        self._log = log
        self._landscape = landscape
        self._clock = clock
        self._head = log.head()
        #: Of the imagined streams only; what it does not know is as recorded.
        self._state = LogState(asked=True)
        self._events: defaultdict[str, list[RecordedEvent]] = defaultdict(list)
        self._lock = threading.Lock()

    # -- appender ----------------------------------------------------------------------------

    async def append(self, *appends: Append) -> Appended:
        """Imagine the events; raises what the store would for changes of this rehearsal."""
        encoded = encode(appends)
        if isinstance(encoded, StoreError):
            raise encoded
        with self._lock:
            streams = self._state.streams
            new = {each.stream_id: each for each in appends if each.stream_id not in streams}
            for stream_id, append in new.items():
                streams[stream_id] = StreamHead(append.expected_version, alive=True)
            transaction = tuple(map(self._against_imagined, appends))
            try:
                after = self._state.check(transaction)
            except AppendRefused:
                for stream_id in new:
                    del streams[stream_id]
                raise
            self._state.accept(transaction, after, self._head.position + 1)
            return Appended(tuple(event for append in appends for event in self._place(append)))

    def _against_imagined(self, append: Append) -> Append:
        """Leave to the decision what it has seen in the real log."""
        streams = self._state.streams
        alive = (ref for ref in append.constraints.requires_alive if ref.stream_id in streams)
        constraints = replace(append.constraints, requires_alive=frozenset(alive))
        return replace(append, constraints=constraints)

    def _place(self, append: Append) -> list[RecordedEvent]:
        placed = []
        for version, event in enumerate(append.events, append.expected_version + 1):
            now = self._clock()
            self._head = replace(self._head, position=self._head.position + 1, recorded_at=now)
            placed.append(
                RecordedEvent(
                    position=self._head.position,
                    stream_id=append.stream_id,
                    version=version,
                    event_id=event.event_id,
                    type=event.type,
                    data=event.data,
                    metadata=event.metadata,
                    actor=event.actor,
                    correlation_id=event.correlation_id,
                    causation_id=event.causation_id,
                    recorded_at=now,
                    partition=0,
                    previous_hash=_UNPLACED,
                    hash=_UNPLACED,
                )
            )
        self._events[append.stream_id] += placed
        return placed

    # -- log ---------------------------------------------------------------------------------

    def head(self) -> Head:
        """See :class:`~eatool.registry.folding.Log`."""
        return self._head

    def read_stream(
        self, stream_id: str, *, after_version: int = 0, until: datetime | None = None
    ) -> list[RecordedEvent]:
        """See :class:`~eatool.registry.folding.Log`."""
        recorded = self._log.read_stream(stream_id, after_version=after_version, until=until)
        with self._lock:
            imagined = tuple(self._events.get(stream_id, ()))
        return recorded + [event for event in imagined if event.version > after_version]

    # -- landscape ---------------------------------------------------------------------------

    def alive(self, refs: Sequence[EntityRef]) -> set[EntityRef]:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        with self._lock:
            heads = {ref: self._state.streams.get(ref.stream_id) for ref in refs}
        recorded = self._landscape.alive([ref for ref, head in heads.items() if head is None])
        return recorded | {ref for ref, head in heads.items() if head is not None and head.alive}

    def spec(self, ref: EntityRef) -> Mapping[str, object] | None:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        with self._lock:
            head = self._state.streams.get(ref.stream_id)
            last = self._events[ref.stream_id][-1] if head is not None else None
        if head is None or last is None:
            return self._landscape.spec(ref)
        return self._spec_of(ref, last) if head.alive else None

    def parent(self, ref: EntityRef) -> EntityRef | None:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        with self._lock:
            imagined = ref.stream_id in self._state.streams
            references = self._state.references.get(ref.stream_id, frozenset())
        if not imagined:
            return self._landscape.parent(ref)
        field_name = KINDS[ref.aggregate_type].parent_field
        return next(
            (EntityRef.parse(target) for name, target, _ in references if name == field_name), None
        )

    def referrers(self, ref: EntityRef, limit: int = 10) -> Sequence[Referrer]:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        with self._lock:
            imagined = self._state.streams.keys() | set()
            found = [
                Referrer(EntityRef.parse(source), name, hard)
                for source in self._state.referrers.get(ref.stream_id, ())
                for name, target, hard in self._state.references[source]
                if target == ref.stream_id
            ]
        recorded = self._landscape.referrers(ref, limit + len(imagined))
        found += [each for each in recorded if each.source.stream_id not in imagined]
        return sorted(found, key=lambda each: (each.source.stream_id, each.field))[:limit]

    def holder(self, key: str) -> EntityRef | None:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        with self._lock:
            hold = self._state.keys.get(key)
        if hold is not None and hold.live:
            return EntityRef.parse(hold.holder)
        recorded = self._landscape.holder(key)
        return None if recorded is None or self._imagines(recorded) else recorded

    def sharers(self, key: str) -> Sequence[Sharer]:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        with self._lock:
            last = [self._events[source][-1] for source in self._state.referrers.get(key, ())]
        found = [Sharer(each.ref, each.version, self._spec_of(each.ref, each)) for each in last]
        recorded = self._landscape.sharers(key)
        return [*found, *(each for each in recorded if not self._imagines(each.ref))]

    def _imagines(self, ref: EntityRef) -> bool:
        with self._lock:
            return ref.stream_id in self._state.streams

    @staticmethod
    def _spec_of(ref: EntityRef, event: RecordedEvent) -> Mapping[str, object]:
        entity = read_event(KINDS[ref.aggregate_type], event.type, event.data).entity
        spec: Mapping[str, object] = entity.model_dump()
        return spec
