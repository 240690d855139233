"""Prove that the log alone yields the read tables, and put right what differs.

The shadow is folded from the first event on and compared with the live tables in one snapshot of
the database, at the position up to which the live ones are projected: the head, or the checkpoint
of a kind that is followed. Nobody is blocked.

A rebuild then replaces the rows that differ, in one transaction. Unlike an exchange of whole
tables this keeps their grants, indexes and dependent views, writes as much as is wrong, and lets
appends go on: a row that has changed since it was compared is left alone, and the next round
looks at it again. The last round finds no difference, or the rebuild says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from sqlalchemy import ColumnElement, Connection, Table, delete, or_, select

from eatool.projections import checkpoints
from eatool.projections.comparison import (
    Counts,
    Difference,
    Key,
    differences,
    fingerprint,
)
from eatool.projections.shadow import Progress, Shadow, own_connection, snapshot, writing
from eatool.projections.tables import PROJECTION, READ_TABLES, ReadTable
from eatool.store.encoding import Upcast, newest
from eatool.store.sql.database import Database, inserting
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.tables import log

#: Comparisons of a rebuild before it gives up on a table that keeps differing.
_ROUNDS: Final = 5
#: Keys of one statement.
_HEALED: Final = 500


@dataclass(slots=True)
class TableReport:
    """What was found in one table, at one position of the log."""

    aggregate_type: str
    table: str
    position: int
    counts: Counts = field(default_factory=Counts)
    differences: list[Difference] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """One verification or rebuild.

    Attributes:
        tables: of a verification, what differs; of a rebuild, what still differs at its end.
        found: of a rebuild, what differed when it began.
        healed: rows replaced, added or removed.
        events: read from the log, all rounds together.
        seconds: for all of it; ``comparing`` is the part of comparisons.

    """

    tables: list[TableReport]
    found: list[TableReport]
    healed: int
    events: int
    seconds: float
    comparing: float

    @property
    def sound(self) -> bool:
        """Whether the tables say in the end what the log says."""
        return not any(table.differences for table in self.tables)


def _quiet(_what: str, _done: int, _total: int) -> None:
    pass


def verify(
    store: SqlEventStore,
    aggregate_types: Collection[str] | None = None,
    *,
    tables: Mapping[str, ReadTable] = READ_TABLES,
    upcast: Upcast = newest,
    progress: Progress = _quiet,
) -> Report:
    """Compare, change nothing. ``None`` = all kinds. Blocks; raises ``StoreError``."""
    with _opened(store, aggregate_types, tables, upcast, progress) as work:
        found = work.compare()
        return work.report(found, found)


def rebuild(
    store: SqlEventStore,
    aggregate_types: Collection[str] | None = None,
    *,
    tables: Mapping[str, ReadTable] = READ_TABLES,
    upcast: Upcast = newest,
    progress: Progress = _quiet,
) -> Report:
    """Compare, replace what differs, compare again. Blocks; raises ``StoreError``."""
    with _opened(store, aggregate_types, tables, upcast, progress) as work:
        found = left = work.compare()
        for _ in range(_ROUNDS):
            if not any(table.differences for table in left):
                break
            work.heal(left)
            left = work.compare()
        return work.report(left, found)


@contextmanager
def _opened(
    store: SqlEventStore,
    aggregate_types: Collection[str] | None,
    tables: Mapping[str, ReadTable],
    upcast: Upcast,
    progress: Progress,
) -> Iterator[_Work]:
    chosen = {
        kind: read
        for kind, read in tables.items()
        if aggregate_types is None or kind in aggregate_types
    }
    with Database(store.engine).translated(), own_connection(store) as connection:
        yield _Work(connection, chosen, Shadow(store, connection, chosen, upcast), progress)


class _Work:
    """The steps, on one connection."""

    def __init__(
        self,
        connection: Connection,
        tables: Mapping[str, ReadTable],
        shadow: Shadow,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._shadow = shadow
        self._progress = progress
        self._started = perf_counter()
        self._comparing = 0.0
        self._events = 0
        self._healed = 0

    def compare(self) -> list[TableReport]:
        """Bring the shadow to where the live tables are, and compare, all in one snapshot."""
        with snapshot(self._connection):
            targets = self._targets()
            self._events += self._shadow.catch_up(targets, self._progress)
            started = perf_counter()
            reports = []
            for number, (kind, read) in enumerate(self._tables.items(), 1):
                report = TableReport(kind, read.table.name, targets[kind])
                rebuilt = self._shadow.tables[kind].table
                report.differences = list(
                    differences(self._connection, read.table, rebuilt, report.counts)
                )
                reports.append(report)
                self._progress("comparing tables", number, len(self._tables))
            self._comparing += perf_counter() - started
        return reports

    def heal(self, reports: Sequence[TableReport]) -> None:
        """Replace every row that still is as it was compared."""
        with writing(self._connection):
            for report in reports:
                for start in range(0, len(report.differences), _HEALED):
                    part = report.differences[start : start + _HEALED]
                    self._healed += self._replace(report.aggregate_type, part)

    def report(self, tables: list[TableReport], found: list[TableReport]) -> Report:
        """What came of it."""
        seconds = perf_counter() - self._started
        return Report(tables, found, self._healed, self._events, seconds, self._comparing)

    def _targets(self) -> dict[str, int]:
        head: int = self._connection.scalars(select(log.c.position)).one()
        followed = checkpoints.positions(self._connection, PROJECTION)
        return {kind: min(head, followed.get(kind, head)) for kind in self._tables}

    def _replace(self, kind: str, found: Sequence[Difference]) -> int:
        connection, live = self._connection, self._tables[kind].table
        rebuilt = self._shadow.tables[kind].table
        keys = [each.key for each in found]
        rows = connection.execute(select(live).where(_among(live, keys)).with_for_update()).all()
        now: dict[Key, int] = {
            (row._mapping["namespace"], row._mapping["id"]): fingerprint(row) for row in rows
        }
        same = [each.key for each in found if now.get(each.key) == each.seen]
        if not same:
            return 0
        connection.execute(delete(live).where(_among(live, same)))
        new = select(rebuilt).where(_among(rebuilt, same))
        # A row that was missing may have come by itself: then it is looked at again.
        connection.execute(
            inserting(connection.dialect.name, live)
            .from_select(list(live.columns.keys()), new)
            .on_conflict_do_nothing()
        )
        return len(same)


def _among(table: Table, keys: Sequence[Key]) -> ColumnElement[bool]:
    """One of ``keys``, said so that PostgreSQL uses the index: lists of pairs are compared."""
    names: dict[str, list[str]] = {}
    for namespace, name in keys:
        names.setdefault(namespace, []).append(name)
    return or_(
        *((table.c.namespace == each) & table.c.id.in_(found) for each, found in names.items())
    )
