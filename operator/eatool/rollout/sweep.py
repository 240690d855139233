"""Compare whole tables, a little at a time: the check that needs no trigger to be told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Final

from sqlalchemy import Connection, Engine, select

from eatool.domain.errors import SpecInvalid
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.legacy.rows import canonical, fingerprint, spec_fingerprint
from eatool.legacy.writing import LegacyRow, LegacyRows
from eatool.projections.tables import READ_TABLES
from eatool.rollout.comparison import snapshot
from eatool.rollout.findings import Findings, Sweep
from eatool.rollout.parity import COMPARED, Verifier
from eatool.rollout.view import PhaseView
from eatool.store.clock import Clock, utc_now
from eatool.store.port import StoreError
from eatool.store.sql.database import Database

_log = logging.getLogger(__name__)

#: Keys compared at a time.
CHUNK: Final = 1_000
#: Part of the time that a sweep may keep the database busy.
_SHARE: Final = 0.1
_IDLE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk; ``last`` is its last id, ``None`` when nothing comes after it."""

    last: str | None
    keys: int
    suspects: tuple[str, ...]


class Sweeper:
    """Sweeps kind after kind, anew after ``interval`` seconds and after each phase change.

    ``interval`` is asked by aggregate type.
    What differs becomes the verifier's suspect. Used from one event loop, by one process.
    """

    def __init__(
        self,
        engine: Engine,
        view: PhaseView,
        findings: Findings,
        verifier: Verifier,
        *,
        namespace: str,
        interval: Callable[[str], float] = lambda _aggregate_type: 3_600.0,
        chunk: int = CHUNK,
        clock: Clock = utc_now,
    ) -> None:
        self._database = Database(engine)
        self._view = view
        self._findings = findings
        self._verifier = verifier
        self._namespace = namespace
        self._interval = interval
        self._chunk = chunk
        self._clock = clock

    async def run(self) -> None:
        """Sweep what is due until cancelled, at a tenth of the time."""
        while True:
            busy = 0.0
            for aggregate_type in self._view.all():
                started = perf_counter()
                try:
                    await self.step(aggregate_type)
                except StoreError as error:
                    _log.warning("The sweep of %s is put off: %s", aggregate_type, error)
                busy += perf_counter() - started
            await asyncio.sleep(max(_IDLE if busy < _IDLE * _SHARE else 0, busy / _SHARE - busy))

    async def step(self, aggregate_type: str) -> bool:
        """Compare the next chunk of a sweep that is due; whether there was one."""
        standing = self._view.of(aggregate_type)
        if standing is None or standing.phase not in COMPARED:
            return False
        if not self._verifier.knows_rules(aggregate_type):
            return False
        now = self._clock()
        sweep = await asyncio.to_thread(self._findings.sweep, aggregate_type)
        if sweep is None or sweep.epoch != standing.epoch:
            sweep = Sweep(standing.epoch, None, 0, now)
        elif sweep.cursor is None and sweep.swept_at is not None:
            if (now - sweep.swept_at).total_seconds() < self._interval(aggregate_type):
                return False
            sweep = replace(sweep, compared=0, started_at=now)
        kind = KINDS[aggregate_type]
        chunk = await asyncio.to_thread(self._compare, kind, sweep.cursor)
        await self._suspect(aggregate_type, chunk)
        sweep = replace(sweep, cursor=chunk.last, compared=sweep.compared + chunk.keys)
        if chunk.last is None:
            sweep = replace(
                sweep, swept_from=sweep.started_at, swept_at=self._clock(), swept=sweep.compared
            )
        await asyncio.to_thread(self._findings.put_sweep, aggregate_type, sweep)
        return True

    async def whole(
        self, aggregate_type: str, progress: Callable[[int], None] = lambda _keys: None
    ) -> int:
        """One complete sweep at full speed; how many keys differ at a first look."""
        found, after = 0, None
        while True:
            chunk = await asyncio.to_thread(self._compare, KINDS[aggregate_type], after)
            await self._suspect(aggregate_type, chunk)
            found += len(chunk.suspects)
            progress(chunk.keys)
            after = chunk.last
            if after is None:
                return found

    async def _suspect(self, aggregate_type: str, chunk: Chunk) -> None:
        self._verifier.suspect(aggregate_type, chunk.suspects)
        if chunk.last is None:  # what was found before may have healed without anybody's telling
            found = await asyncio.to_thread(self._findings.unresolved, aggregate_type)
            self._verifier.suspect(aggregate_type, found)

    def _compare(self, kind: EntityKind, after: str | None) -> Chunk:
        with self._database.translated(), snapshot(self._database.engine) as connection:
            return compare_chunk(connection, kind, self._namespace, after, self._chunk)


def compare_chunk(
    connection: Connection, kind: EntityKind, namespace: str, after: str | None, size: int
) -> Chunk:
    """Compare both sides' keys behind ``after``, at most ``size`` legacy rows of them."""
    page = LegacyRows(connection).page(kind.aggregate_type, after=after, limit=size)
    last = page[-1].id if len(page) == size else None
    left = {row.id: _print(kind, row) for row in page if not row.deleted}
    right = _read_prints(connection, kind, namespace, after, last)
    # Row by row: one checksum of the chunk would save nothing, and changes could cancel out in it.
    suspects = sorted(
        each
        for each in left.keys() | right.keys()
        if left.get(each) is None or left[each] != right.get(each)
    )
    return Chunk(last, len(left.keys() | right.keys()), tuple(suspects))


def _print(kind: EntityKind, row: LegacyRow) -> int | None:
    try:
        return spec_fingerprint(kind, canonical(kind, row.values))
    except SpecInvalid:
        return None


def _read_prints(
    connection: Connection, kind: EntityKind, namespace: str, after: str | None, last: str | None
) -> dict[str, int | None]:
    read = READ_TABLES[kind.aggregate_type]
    rows = read.table
    query = select(rows).where(rows.c.namespace == namespace, rows.c.deleted_at.is_(None))
    if after is not None:
        query = query.where(rows.c.id > after)
    if last is not None:
        query = query.where(rows.c.id <= last)
    found = connection.execute(query).mappings()
    return {row["id"]: fingerprint(kind, read.spec_fields(row)) for row in found}
