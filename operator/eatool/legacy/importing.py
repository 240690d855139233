"""Rows of the registry become entities, through the same decisions as any other change.

An import can be repeated and be killed at any moment. A row that is as it was when it was last
recorded is passed over, whatever became of its entity since: only changes of the registry are
imported, so an import never takes back what a custom resource has changed meanwhile. What the
bookkeeping missed (killed between the append and the note) the registry finds unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from eatool.domain.errors import Code, FieldError, SpecInvalid
from eatool.domain.events import Created
from eatool.domain.identity import clusterless_uid
from eatool.domain.kind import EntityKind, EntitySpec
from eatool.domain.parsing import parse
from eatool.legacy.bookkeeping import Imported
from eatool.legacy.order import in_order, levels
from eatool.legacy.report import Report, TableReport
from eatool.legacy.rows import (
    canonicalised,
    instant,
    name_complaint,
    spec_fingerprint,
    spec_of,
)
from eatool.registry.change import Change, Provenance
from eatool.registry.outcome import Outcome, Recorded, Refused, Unavailable, Unchanged, WaitingFor
from eatool.store.port import StoreUnavailable

#: Rows read, and then noted, at a time.
_CHUNK = 500
#: Changes decided at the same time; they share commits.
_PARALLEL = 64
#: Of each change, while the store does not answer.
_RETRIES = 2

#: Called with the number of rows that are done with.
Progress = Callable[[int], None]


class Registry(Protocol):
    """What an import needs of the registry."""

    async def apply(self, change: Change) -> Outcome:
        """See :class:`~eatool.registry.service.Registry`."""
        ...

    async def delete(self, change: Change) -> Outcome:
        """See :class:`~eatool.registry.service.Registry`."""
        ...


class Rows(Protocol):
    """What an import reads; :class:`~eatool.legacy.source.Source`. Methods block."""

    def parents(self, kind: EntityKind) -> dict[str | None, str | None]:
        """Every id with the id of its parent."""
        ...

    def rows(self, kind: EntityKind, ids: Sequence[str]) -> list[Mapping[str, Any]]:
        """Values by column."""
        ...


class Notes(Protocol):
    """Where an import remembers; :class:`~eatool.legacy.bookkeeping.Bookkeeping`."""

    def of(self, kind: EntityKind) -> dict[str, Imported]:
        """What earlier imports noted."""
        ...

    def note(self, kind: EntityKind, rows: Mapping[str, int | None]) -> None:
        """Fingerprints of recorded rows, ``None`` for refused ones."""
        ...

    def forget(self, kind: EntityKind, ids: Sequence[str]) -> None:
        """Rows that are gone with their entities."""
        ...


@dataclass(frozen=True, slots=True)
class _Row:
    """A row that can be decided on."""

    change: Change
    spec: EntitySpec
    fingerprint: int

    @property
    def id(self) -> str:
        return self.change.ref.name


class Import:
    """One run."""

    def __init__(
        self,
        registry: Registry,
        source: Rows,
        notes: Notes,
        *,
        namespace: str,
        provenance: Provenance,
        progress: Progress = lambda _rows: None,
    ) -> None:
        self._registry = registry
        self._source = source
        self._notes = notes
        self._namespace = namespace
        self._provenance = provenance
        self._progress = progress

    async def run(self, kinds: Iterable[EntityKind]) -> Report:
        """Import the tables of ``kinds``, referenced ones first; end what is gone, last ones first.

        Raises ``StoreUnavailable`` when the store stays away; what was noted until then stays.
        """
        ordered = in_order(kinds)
        tables: dict[str, TableReport] = {}
        gone: list[tuple[EntityKind, list[str]]] = []
        for kind in ordered:
            known = await asyncio.to_thread(self._notes.of, kind)
            parents = await asyncio.to_thread(self._source.parents, kind)
            tables[kind.table] = TableReport(kind, rows=len(parents))
            await _Table(self, kind, known, tables[kind.table]).run(parents)
            gone.append(
                (
                    kind,
                    sorted(
                        row_id
                        for row_id, imported in known.items()
                        if imported.fingerprint is not None and row_id not in parents
                    ),
                )
            )
        for kind, ids in reversed(gone):
            await self._end(kind, ids, tables[kind.table])
        return Report([tables[kind.table] for kind in ordered])

    def change(self, kind: EntityKind, row: Mapping[str, Any]) -> Change:
        """What a row asks for."""
        ref = kind.ref(self._namespace, row["id"])
        told = replace(self._provenance, occurred_at=instant(row["updated_at"]))
        return Change(ref=ref, uid=clusterless_uid(ref), spec=spec_of(kind, row), provenance=told)

    async def apply(self, rows: Sequence[_Row]) -> dict[str, Outcome]:
        """Outcomes by id, of rows that are not in each other's way."""
        changes = {row.id: row.change for row in rows}
        return await self._all(self._registry.apply, changes)

    async def rows(self, kind: EntityKind, ids: Sequence[str]) -> list[Mapping[str, Any]]:
        """See :class:`Rows`."""
        return await asyncio.to_thread(self._source.rows, kind, ids)

    async def note(self, kind: EntityKind, rows: Mapping[str, int | None]) -> None:
        """See :class:`Notes`."""
        await asyncio.to_thread(self._notes.note, kind, rows)

    def passed(self, rows: int) -> None:
        """Tell of progress."""
        self._progress(rows)

    async def _end(self, kind: EntityKind, ids: Sequence[str], report: TableReport) -> None:
        """Delete entities whose rows are gone, children before parents."""
        left: dict[str, Outcome] = {}
        waiting = list(ids)
        while waiting:
            changes = {}
            for row_id in waiting:
                ref = kind.ref(self._namespace, row_id)
                changes[row_id] = Change(
                    ref=ref, uid=clusterless_uid(ref), provenance=self._provenance
                )
            outcomes = await self._all(self._registry.delete, changes)
            left = {id_: each for id_, each in outcomes.items() if not _accepted(each)}
            ended = [row_id for row_id in waiting if row_id not in left]
            report.deleted += sum(isinstance(outcomes[each], Recorded) for each in ended)
            await asyncio.to_thread(self._notes.forget, kind, ended)
            if not ended:
                break
            waiting = list(left)
        for row_id, outcome in left.items():
            report.refuse(row_id, _errors(outcome))

    async def _all(
        self, act: Callable[[Change], Awaitable[Outcome]], changes: Mapping[str, Change]
    ) -> dict[str, Outcome]:
        limit = asyncio.Semaphore(_PARALLEL)

        async def one(change: Change) -> Outcome:
            async with limit:
                outcome = await act(change)
                for _ in range(_RETRIES):
                    if not isinstance(outcome, Unavailable):
                        break
                    await asyncio.sleep(outcome.retry_after)
                    outcome = await act(change)
            if isinstance(outcome, Unavailable):
                why = f"{outcome.why}; run the import again, it goes on from here"
                raise StoreUnavailable(why)
            return outcome

        outcomes = await asyncio.gather(*map(one, changes.values()))
        return dict(zip(changes, outcomes, strict=True))


class _Table:
    """The import of one table."""

    def __init__(
        self, run: Import, kind: EntityKind, known: Mapping[str, Imported], report: TableReport
    ) -> None:
        self._run = run
        self._kind = kind
        self._known = known
        self._report = report

    async def run(self, parents: Mapping[str | None, str | None]) -> None:
        named = {row_id: parent for row_id, parent in parents.items() if row_id is not None}
        if len(named) < len(parents):
            self._report.refuse("", [name_complaint(None)])
        held: dict[str, tuple[_Row, Outcome]] = {}
        for level in levels(named):
            for ids in _chunks(level):
                held |= await self._chunk(ids)
                self._run.passed(len(ids))
        # What somebody stood in the way of, who may have moved since.
        while held:
            left = await self._decide([row for row, _ in held.values()])
            if len(left) == len(held):
                held = left
                break
            held = left
        for row_id, (_, outcome) in held.items():
            self._report.refuse(row_id, _errors(outcome))
        await self._run.note(self._kind, dict.fromkeys(held))

    async def _chunk(self, ids: Sequence[str]) -> dict[str, tuple[_Row, Outcome]]:
        """Those that are refused for now."""
        ready: list[_Row] = []
        refused: list[str] = []
        for values in await self._run.rows(self._kind, ids):
            row_id: str = values["id"]
            row = self._readable(row_id, values)
            if isinstance(row, _Row):
                known = self._known.get(row_id)
                if known is None or known.refused or known.fingerprint != row.fingerprint:
                    ready.append(row)
                else:
                    self._report.unchanged += 1
            else:
                self._report.refuse(row_id, row)
                refused.append(row_id)
        await self._run.note(self._kind, dict.fromkeys(refused))
        return await self._decide(ready)

    def _readable(self, row_id: str, values: Mapping[str, Any]) -> _Row | Sequence[FieldError]:
        misnamed = name_complaint(row_id)
        change = self._run.change(self._kind, values)
        try:
            spec = parse(self._kind, change.spec)
        except SpecInvalid as invalid:
            return invalid.errors if misnamed is None else (misnamed, *invalid.errors)
        if misnamed is not None:
            return (misnamed,)
        if canonicalised(self._kind, change.spec, spec):
            self._report.canonicalised += 1
        return _Row(change, spec, spec_fingerprint(self._kind, spec))

    async def _decide(self, rows: Sequence[_Row]) -> dict[str, tuple[_Row, Outcome]]:
        """Record; those that are refused for now.

        Of rows that would hold one key, the one with the lowest id gets it, on every database
        and however often it is tried.
        """
        refused: dict[str, tuple[_Row, Outcome]] = {}
        recorded: dict[str, int | None] = {}
        for together in _apart(self._kind, rows):
            outcomes = await self._run.apply(together)
            for row in together:
                outcome = outcomes[row.id]
                if not _accepted(outcome):
                    refused[row.id] = (row, outcome)
                    continue
                recorded[row.id] = row.fingerprint
                self._count(outcome)
        await self._run.note(self._kind, recorded)
        return refused

    def _count(self, outcome: Outcome) -> None:
        match outcome:
            case Recorded(events=(first, *_)):
                created = first.type == self._kind.event_class(Created).versioned_type()
                self._report.created += created
                self._report.updated += not created
            case _:
                self._report.unchanged += 1


def _accepted(outcome: Outcome) -> bool:
    return isinstance(outcome, Recorded | Unchanged)


def _errors(outcome: Outcome) -> Sequence[FieldError]:
    if isinstance(outcome, Refused | WaitingFor):
        return outcome.errors
    return (FieldError("spec", Code.CONSTRAINT_VIOLATED, "is not accepted"),)


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
