"""Bring both sides back together: the phase says which one is right."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol, cast

from sqlalchemy import delete, select

from eatool.commands.port import Operation
from eatool.domain.errors import Code, FieldError
from eatool.domain.identity import EntityRef, clusterless_uid
from eatool.domain.kind import EntityKind, EntitySpec
from eatool.legacy.writing import RowChanged
from eatool.projections.inline import ReadModels
from eatool.projections.tables import READ_TABLES
from eatool.registry.change import Change, Provenance, Source
from eatool.registry.folding import Folded, fold_events
from eatool.registry.outcome import Outcome, Recorded, Refused, Unavailable, Unchanged, WaitingFor
from eatool.rollout.appending import LegacyWriter, RowWrite
from eatool.rollout.comparison import Comparison, differing, plain
from eatool.rollout.ledger import Standing
from eatool.store.port import StaleEpoch, StoreError
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.tables import log

_log = logging.getLogger(__name__)

#: Who is told to have changed what was written to a legacy table directly.
_WRITER: Final = Provenance(actor="legacy", source=Source.LEGACY)

#: A row that the log never knew, where the log decides.
UNRECORDED: Final = FieldError(
    "metadata.name",
    Code.CONSTRAINT_VIOLATED,
    "was never recorded: the log has nothing to put in place of the row",
)


class Mended(Enum):
    """What a repair came to."""

    #: What the legacy table said is in the log now.
    RECORDED = auto()
    #: A table said something else than the log, without anybody's leave; it was rewritten.
    REWRITTEN = auto()
    #: Nothing that a program may decide.
    REFUSED = auto()
    #: Somebody was faster, or the database is away: look again.
    LATER = auto()


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of one difference; ``errors`` of a refused one."""

    how: Mended
    errors: tuple[FieldError, ...] = ()


_LATER: Final = Repaired(Mended.LATER)


class Recorder(Protocol):
    """Records what the legacy table says; :class:`~eatool.rollout.registry.PhasedRegistry`."""

    async def record(self, change: Change, operation: Operation, standing: Standing) -> Outcome:
        """Append under the standing's epoch; raises ``StaleEpoch``."""
        ...


class Repair:
    """Repairs single differences; used from one event loop."""

    def __init__(
        self, recorder: Recorder, legacy: LegacyWriter, store: SqlEventStore, namespace: str
    ) -> None:
        self._recorder = recorder
        self._legacy = legacy
        self._store = store
        self._namespace = namespace

    async def legacy_wins(
        self, kind: EntityKind, compared: Comparison, standing: Standing
    ) -> Repaired:
        """Record what the row says, as a change of its own."""
        if compared.errors:
            return Repaired(Mended.REFUSED, compared.errors)
        change = self._change(kind, compared)
        operation = Operation.DELETE if compared.legacy is None else Operation.APPLY
        try:
            outcome = await self._recorder.record(change, operation, standing)
        except StoreError as error:  # of this entity, or the phase has changed
            _log.warning("%s cannot be recorded yet: %s", change.ref, error)
            return _LATER
        match outcome:
            case Recorded():
                return Repaired(Mended.RECORDED)
            case Unchanged():
                # The log says what the row says: it is the read table that does not.
                await asyncio.to_thread(self._rewrite_read_row, change.ref)
                return Repaired(Mended.REWRITTEN)
            case Refused(errors=errors) | WaitingFor(errors=errors):
                return Repaired(Mended.REFUSED, errors)
            case Unavailable():
                return _LATER

    async def log_wins(
        self, kind: EntityKind, compared: Comparison, standing: Standing, *, written: bool
    ) -> Repaired:
        """Make both tables say what the log says.

        ``written``: the row is known to have been written since the log is authoritative. A row
        that the log never knew is taken away only then, softly.
        """
        if compared.errors and compared.errors[0].field == "metadata.name":
            return Repaired(Mended.REFUSED, compared.errors)
        ref = kind.ref(self._namespace, compared.id)
        folded = await asyncio.to_thread(self._fold, ref)
        row = compared.legacy is not None or bool(compared.errors)
        if row and folded.last is None and not written:
            return Repaired(Mended.REFUSED, compared.errors or (UNRECORDED,))
        spec = cast("EntitySpec | None", folded.state.spec)
        if compared.errors or compared.legacy != spec:
            expected = compared.versions.legacy
            try:
                await self._legacy.write(RowWrite(standing.fence, ref, spec, expected))
            except (RowChanged, StaleEpoch):
                return _LATER
        if not _says(kind, compared, spec):
            await asyncio.to_thread(self._rewrite_read_row, ref)
        return Repaired(Mended.REWRITTEN)

    def _change(self, kind: EntityKind, compared: Comparison) -> Change:
        ref = kind.ref(self._namespace, compared.id)
        living = compared.read is not None
        spec = compared.legacy
        return Change(
            ref=ref,
            # The object's own, so that its next change is not taken for another incarnation's.
            uid=compared.uid if living and compared.uid else clusterless_uid(ref),
            generation=compared.generation if living else None,
            spec={}
            if spec is None
            else spec.model_dump(mode="json", by_alias=True, exclude_none=True),
            provenance=_WRITER,
        )

    def _fold(self, ref: EntityRef) -> Folded:
        return fold_events(ref, self._store.read_stream(ref.stream_id))

    def _rewrite_read_row(self, ref: EntityRef) -> None:
        rows = READ_TABLES[ref.aggregate_type].table
        with self._store.transaction() as connection:
            # Nobody appends meanwhile, so the stream is as the row has to be.
            connection.execute(select(log.c.position).where(log.c.id == 1).with_for_update())
            events = self._store.read_stream(ref.stream_id)
            connection.execute(
                delete(rows).where(rows.c.namespace == ref.namespace, rows.c.id == ref.name)
            )
            if events:
                ReadModels().apply(connection, events)


def _says(kind: EntityKind, compared: Comparison, spec: EntitySpec | None) -> bool:
    """Whether the read table says ``spec``."""
    if spec is None or compared.read is None:
        return spec is None and compared.read is None
    return not differing(kind, plain(spec), compared.read)
