"""Decide changes on top of each other without recording any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS, event_types
from eatool.domain.landscape import Constraints, Landscape, Referrer
from eatool.registry.folding import Log
from eatool.store.clock import Clock, utc_now
from eatool.store.port import Append, Appended, Head, RecordedEvent

_UNPLACED = bytes(32)


@dataclass(slots=True)
class _Imagined:
    """A stream as it would be; ``constraints`` of the last change say what it holds and names."""

    events: list[RecordedEvent] = field(default_factory=list)
    constraints: Constraints = field(default_factory=Constraints)

    @property
    def alive(self) -> bool:
        return not self.constraints.no_referrers


class Rehearsal:
    """Log, appender and landscape of a registry whose changes stay in memory.

    Reads fall through to the real log and landscape. Positions are those the events would get if
    nobody else wrote; hashes are zero.
    """

    def __init__(self, log: Log, landscape: Landscape, clock: Clock = utc_now) -> None:
        self._log = log
        self._landscape = landscape
        self._clock = clock
        self._imagined: dict[EntityRef, _Imagined] = {}
        self._head = log.head()

    # -- appender ----------------------------------------------------------------------------

    async def append(self, *appends: Append) -> Appended:
        """Imagine the events; nothing is checked that the decision has checked already."""
        events: list[RecordedEvent] = []
        for append in appends:
            imagined = self._imagined.setdefault(EntityRef.parse(append.stream_id), _Imagined())
            imagined.constraints = append.constraints
            placed = self._place(append)
            imagined.events.extend(placed)
            events.extend(placed)
        return Appended(tuple(events))

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
        imagined = self._imagined.get(EntityRef.parse(stream_id), _Imagined())
        return recorded + [event for event in imagined.events if event.version > after_version]

    # -- landscape ---------------------------------------------------------------------------

    def alive(self, refs: Sequence[EntityRef]) -> set[EntityRef]:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        recorded = self._landscape.alive([ref for ref in refs if ref not in self._imagined])
        return recorded | {ref for ref in refs if self._is_alive(ref)}

    def parent(self, ref: EntityRef) -> EntityRef | None:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        if ref not in self._imagined:
            return self._landscape.parent(ref)
        field_name = KINDS[ref.aggregate_type].parent_field
        references = self._imagined[ref].constraints.references
        return next((target for name, target, _ in references if name == field_name), None)

    def referrers(self, ref: EntityRef, limit: int = 10) -> Sequence[Referrer]:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        recorded = self._landscape.referrers(ref, limit + len(self._imagined))
        found = [referrer for referrer in recorded if referrer.source not in self._imagined]
        found += [
            Referrer(source, name, hard)
            for source, imagined in self._imagined.items()
            for name, target, hard in imagined.constraints.references
            if target == ref
        ]
        return found[:limit]

    def holder(self, key: str) -> EntityRef | None:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        for ref, imagined in self._imagined.items():
            if key in imagined.constraints.keys:
                return ref
        recorded = self._landscape.holder(key)
        return None if recorded in self._imagined else recorded

    def edges(
        self, source: EntityRef, relation_type: str, target: EntityRef
    ) -> Sequence[tuple[EntityRef, Mapping[str, object]]]:
        """See :class:`~eatool.domain.landscape.Landscape`."""
        recorded = self._landscape.edges(source, relation_type, target)
        found = [edge for edge in recorded if edge[0] not in self._imagined]
        ends = {("source_id", source, True), ("target_id", target, True)}
        for ref, imagined in self._imagined.items():
            if imagined.alive and ends <= imagined.constraints.references:
                spec = self._spec(imagined)
                if spec.get("relation_type") == relation_type:
                    found.append((ref, spec))
        return found

    def _is_alive(self, ref: EntityRef) -> bool:
        return ref in self._imagined and self._imagined[ref].alive

    @staticmethod
    def _spec(imagined: _Imagined) -> Mapping[str, object]:
        last = imagined.events[-1]
        kind, event_class = event_types()[last.type]
        spec: Mapping[str, object] = event_class.from_data(last.data, kind.spec).entity.model_dump()
        return spec
