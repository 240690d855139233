"""Rows of the registry become entities, through the same decisions as any other change.

An import can be repeated and be killed at any moment. A row that is as it was when it was last
recorded is passed over, whatever became of its entity since. What the bookkeeping missed (killed
between the append and the note) the registry finds unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from eatool.domain.errors import FieldError, SpecInvalid
from eatool.domain.events import Created
from eatool.domain.identity import clusterless_uid
from eatool.domain.kind import EntityKind, EntitySpec
from eatool.domain.parsing import parse
from eatool.legacy.applying import Applying
from eatool.legacy.bookkeeping import Bookkeeping, Imported, Rehearsed
from eatool.legacy.order import in_order, levels
from eatool.legacy.report import Report, TableReport
from eatool.legacy.rows import (
    canonicalised,
    instant,
    name_complaint,
    spec_fingerprint,
    spec_of,
    told_of_json,
)
from eatool.legacy.source import RowSource
from eatool.registry.change import Change, Provenance
from eatool.registry.outcome import Outcome, Recorded, Refused, Unchanged, WaitingFor

#: Rows read, and then noted, at a time.
_CHUNK = 500

#: Called with a number of rows that are done with.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Import:
    """One run over the rows of ``source``, which are the entities of ``namespace``."""

    applying: Applying
    source: RowSource
    notes: Bookkeeping | Rehearsed
    namespace: str
    provenance: Provenance
    progress: Progress = lambda _rows: None

    async def run(self, kinds: Iterable[EntityKind]) -> Report:
        """Import the tables of ``kinds``, referenced ones first; end what is gone, last ones first.

        Raises ``StoreUnavailable`` when the store stays away; what was noted until then stays.
        """
        tables = [await self._table(kind) for kind in in_order(kinds)]
        for table, parents in tables:
            await table.record(parents)
        for table, parents in reversed(tables):
            await table.end(parents)
        return Report([table.report for table, _ in tables])

    async def _table(self, kind: EntityKind) -> tuple[_Table, dict[str | None, str | None]]:
        known = await asyncio.to_thread(self.notes.of, kind)
        parents = await asyncio.to_thread(self.source.parents, kind)
        return _Table(self, kind, known, TableReport(kind, rows=len(parents))), parents


@dataclass(frozen=True, slots=True)
class _Row:
    """A row that can be decided on."""

    change: Change
    spec: EntitySpec
    fingerprint: int
    tidied: bool

    @property
    def id(self) -> str:
        return self.change.ref.name


#: Rows that are refused for now, by id.
_Held = dict[str, tuple[_Row, Outcome]]


@dataclass(frozen=True, slots=True)
class _Table:
    """The import of one table; ``known`` is what earlier ones noted."""

    run: Import
    kind: EntityKind
    known: Mapping[str, Imported]
    report: TableReport

    async def record(self, parents: Mapping[str | None, str | None]) -> None:
        """Create and update entities, parents before children."""
        named = {row_id: parent for row_id, parent in parents.items() if row_id is not None}
        if len(named) < len(parents):
            self.report.refuse("", [name_complaint(None)])
        held: _Held = {}
        for level in levels(named):
            for ids in _chunks(level):
                held |= await self._chunk(ids)
                self.run.progress(len(ids))
        # What somebody stood in the way of, who may have moved since.
        before = 0
        while held and len(held) != before:
            before = len(held)
            held = await self._decide([row for row, _ in held.values()])
        for row_id, (_, outcome) in held.items():
            self.report.refuse(row_id, _errors(outcome))
        await self._note(dict.fromkeys(held))

    async def end(self, parents: Mapping[str | None, str | None]) -> None:
        """Delete entities whose rows are gone, children before parents."""
        gone = {row_id: each for row_id, each in self.known.items() if row_id not in parents}
        never = [row_id for row_id, imported in gone.items() if imported.fingerprint is None]
        await asyncio.to_thread(self.run.notes.forget, self.kind, never)
        waiting = sorted(gone.keys() - set(never))
        left: dict[str, Outcome] = {}
        while waiting:
            outcomes = await self.run.applying.delete(
                {row_id: self._change(row_id) for row_id in waiting}
            )
            ended = [row_id for row_id, outcome in outcomes.items() if _accepted(outcome)]
            self.report.deleted += sum(isinstance(outcomes[each], Recorded) for each in ended)
            await asyncio.to_thread(self.run.notes.forget, self.kind, ended)
            left = {id_: each for id_, each in outcomes.items() if not _accepted(each)}
            waiting = list(left) if ended else []
        for row_id, outcome in left.items():
            self.report.refuse(row_id, _errors(outcome))

    async def _chunk(self, ids: Sequence[str]) -> _Held:
        ready: list[_Row] = []
        refused: list[str] = []
        for values in await asyncio.to_thread(self.run.source.rows, self.kind, ids):
            row_id: str = values["id"]
            row = self._readable(row_id, values)
            if not isinstance(row, _Row):
                self.report.refuse(row_id, row)
                refused.append(row_id)
            elif self.known.get(row_id) == Imported(row.fingerprint, refused=False):
                self.report.unchanged += 1
                self.report.canonicalised += row.tidied
            else:
                ready.append(row)
        await self._note(dict.fromkeys(refused))
        return await self._decide(ready)

    def _readable(self, row_id: str, values: Mapping[str, Any]) -> _Row | Sequence[FieldError]:
        misnamed = name_complaint(row_id)
        raw = spec_of(self.kind, values)
        try:
            spec = parse(self.kind, raw)
        except SpecInvalid as invalid:
            told = tuple(told_of_json(self.kind, raw, error) for error in invalid.errors)
            return told if misnamed is None else (misnamed, *told)
        if misnamed is not None:
            return (misnamed,)
        change = replace(
            self._change(row_id),
            spec=raw,
            provenance=replace(self.run.provenance, occurred_at=instant(values["updated_at"])),
        )
        tidied = bool(canonicalised(self.kind, raw, spec))
        return _Row(change, spec, spec_fingerprint(self.kind, spec), tidied)

    def _change(self, row_id: str) -> Change:
        ref = self.kind.ref(self.run.namespace, row_id)
        return Change(
            ref=ref, uid=clusterless_uid(ref), provenance=self.run.provenance, tentative=True
        )

    async def _decide(self, rows: Sequence[_Row]) -> _Held:
        """Record them.

        Of rows that would hold one key, the one with the lowest id gets it, on every database
        and however often it is tried.
        """
        held: _Held = {}
        recorded: dict[str, int | None] = {}
        for together in _apart(self.kind, rows):
            outcomes = await self.run.applying.apply({row.id: row.change for row in together})
            for row in together:
                outcome = outcomes[row.id]
                if _accepted(outcome):
                    recorded[row.id] = row.fingerprint
                    self._count(outcome)
                    self.report.canonicalised += row.tidied
                else:
                    held[row.id] = (row, outcome)
        await self._note(recorded)
        return held

    def _count(self, outcome: Outcome) -> None:
        match outcome:
            case Recorded(events=(first, *_)):
                created = first.type == self.kind.event_class(Created).versioned_type()
                self.report.created += created
                self.report.updated += not created
            case _:
                self.report.unchanged += 1

    async def _note(self, rows: Mapping[str, int | None]) -> None:
        await asyncio.to_thread(self.run.notes.note, self.kind, rows)


def _accepted(outcome: Outcome) -> bool:
    return isinstance(outcome, Recorded | Unchanged)


def _errors(outcome: Outcome) -> Sequence[FieldError]:
    return outcome.errors if isinstance(outcome, Refused | WaitingFor) else ()


def _apart(kind: EntityKind, rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Groups in which no two rows ask for one key, the first holding the lowest ids."""
    left = sorted(rows, key=lambda row: row.id)
    shared = [each for each in kind.shared if not each.advisory]
    while left:
        taken: set[str] = set()
        group: list[_Row] = []
        later: list[_Row] = []
        for row in left:
            keys = {*kind.unique_keys(row.spec), *(each.key(row.spec) for each in shared)}
            (later if keys & taken else group).append(row)
            taken |= keys
        yield group
        left = later


def _chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    left = iter(ids)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk
