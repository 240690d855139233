"""What parity checks have found, and how far they have come: kept in the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import Engine, RowMapping, and_, case, delete, func, select, update

from eatool.domain.kind import EntityKind
from eatool.legacy.tables import DELETED_AT, LEGACY_TABLES, legacy_change
from eatool.rollout.comparison import Comparison, Verdict
from eatool.rollout.parity_tables import parity_finding, parity_sweep
from eatool.store.clock import Clock, utc_now
from eatool.store.sql.database import Database

#: How long a written row may wait to be compared before it counts as not compared. More than the
#: two looks that a difference takes.
PATIENCE: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Finding:
    """One entity whose sides do not agree; ``resolved_at`` when they do again."""

    aggregate_type: str
    id: str
    verdict: Verdict
    fields: tuple[str, ...]
    rule: str | None
    first_seen: datetime
    last_seen: datetime
    confirmed_at: datetime | None
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """A full comparison; ``swept_at`` is ``None`` until one was completed under ``epoch``."""

    epoch: int
    cursor: str | None
    compared: int
    started_at: datetime
    swept_from: datetime | None = None
    swept_at: datetime | None = None
    swept: int | None = None


@dataclass(frozen=True, slots=True)
class Parity:
    """Parity of one kind in figures.

    Attributes:
        keys: living legacy rows.
        dirty: rows written since they were last compared.
        oldest: when the oldest of these was written.
        coverage: of the rows that were compared after their last write, under the present epoch;
            0 to 1. A row counts as compared for :data:`PATIENCE` after a write: where people
            write all the time there would otherwise never be a moment at which all are.
        mismatches: open ones.
        confirmed: mismatches confirmed since the time asked for, repaired ones included.
        ignored: open findings that a rule allows.
        errors: rows that can be in no log, without such a rule.
        swept_at: end of the last complete sweep under the present epoch.

    """

    keys: int
    dirty: int
    oldest: datetime | None
    coverage: float
    mismatches: int
    confirmed: int
    ignored: int
    errors: int
    swept_at: datetime | None


class ParityFigures(Protocol):
    """What criteria and metrics ask. Methods block; raise ``StoreUnavailable``."""

    def of(self, aggregate_type: str, *, epoch: int, since: datetime | None = None) -> Parity:
        """Figures of a kind; ``since`` for mismatches that were confirmed, ``None`` = ever."""
        ...


class Findings:
    """The findings of one database; see :class:`ParityFigures`. Methods block; thread-safe."""

    def __init__(self, engine: Engine, *, clock: Clock = utc_now) -> None:
        self._database = Database(engine)
        self._read = self._database.query
        self._clock = clock

    # -- findings ------------------------------------------------------------------------------

    def note(
        self,
        kind: EntityKind,
        compared: Comparison,
        verdict: Verdict,
        epoch: int,
        complaints: Sequence[str] = (),
    ) -> None:
        """Keep a finding: new, or seen once more. ``complaints``: why a row is not recorded."""
        now = self._clock()
        told = complaints or [str(error) for error in compared.errors] or compared.differing
        row: dict[str, Any] = {
            "verdict": verdict.value,
            "fields": orjson.dumps(list(told)).decode(),
            "rule": compared.rule,
            "epoch": epoch,
            "legacy_version": compared.versions.legacy,
            "position": compared.versions.stream,
            "last_seen": now,
            "resolved_at": None,
        }
        if verdict is Verdict.MISMATCH:
            row["confirmed_at"] = now
        key = {"aggregate_type": kind.aggregate_type, "id": compared.id}
        statement = self._database.insert(parity_finding).values(**key, **row, first_seen=now)
        with self._database.write() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=row))

    def resolve(self, aggregate_type: str, ids: Iterable[str]) -> None:
        """Both sides of these agree. Confirmed mismatches stay known, the rest is forgotten."""
        wanted = sorted(ids)
        mine = and_(
            parity_finding.c.aggregate_type == aggregate_type, parity_finding.c.id.in_(wanted)
        )
        known = self._read(
            lambda connection: connection.scalar(
                select(func.count()).where(mine, parity_finding.c.resolved_at.is_(None))
            )
        )
        if not known:
            return
        confirmed = parity_finding.c.confirmed_at.is_not(None)
        with self._database.write() as connection:
            connection.execute(delete(parity_finding).where(mine, ~confirmed))
            connection.execute(
                update(parity_finding)
                .where(mine, confirmed, parity_finding.c.resolved_at.is_(None))
                .values(resolved_at=self._clock())
            )

    def get(self, aggregate_type: str, row_id: str) -> Finding | None:
        """The finding about one entity, a resolved one included."""
        query = select(parity_finding).where(
            parity_finding.c.aggregate_type == aggregate_type, parity_finding.c.id == row_id
        )
        row = self._read(lambda connection: connection.execute(query).mappings().one_or_none())
        return None if row is None else _finding(row)

    def open(self, aggregate_type: str, limit: int = 100) -> list[Finding]:
        """Unresolved findings, the oldest first."""
        query = (
            select(parity_finding)
            .where(
                parity_finding.c.aggregate_type == aggregate_type,
                parity_finding.c.resolved_at.is_(None),
            )
            .order_by(parity_finding.c.first_seen, parity_finding.c.id)
            .limit(limit)
        )
        rows = self._read(lambda connection: connection.execute(query).mappings().all())
        return [_finding(row) for row in rows]

    def unresolved(self, aggregate_type: str) -> list[str]:
        """Ids of all unresolved findings."""
        query = select(parity_finding.c.id).where(
            parity_finding.c.aggregate_type == aggregate_type,
            parity_finding.c.resolved_at.is_(None),
        )
        return self._read(lambda connection: list(connection.scalars(query)))

    def mismatched(self, aggregate_type: str, before: datetime | None = None) -> list[str]:
        """Ids of open mismatches; ``before``: of those last seen then."""
        query = select(parity_finding.c.id).where(
            parity_finding.c.aggregate_type == aggregate_type,
            parity_finding.c.verdict == Verdict.MISMATCH.value,
            parity_finding.c.resolved_at.is_(None),
        )
        if before is not None:
            query = query.where(parity_finding.c.last_seen < before)
        return self._read(lambda connection: list(connection.scalars(query)))

    # -- sweeps --------------------------------------------------------------------------------

    def sweep(self, aggregate_type: str) -> Sweep | None:
        """Where the sweep of a kind stands."""
        query = select(parity_sweep).where(parity_sweep.c.aggregate_type == aggregate_type)
        row = self._read(lambda connection: connection.execute(query).mappings().one_or_none())
        if row is None:
            return None
        return Sweep(**{name: row[name] for name in Sweep.__dataclass_fields__})

    def put_sweep(self, aggregate_type: str, sweep: Sweep) -> None:
        """Remember where it stands."""
        row = {name: getattr(sweep, name) for name in Sweep.__dataclass_fields__}
        statement = self._database.insert(parity_sweep).values(aggregate_type=aggregate_type, **row)
        with self._database.write() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["aggregate_type"], set_=row)
            )

    # -- figures -------------------------------------------------------------------------------

    def of(self, aggregate_type: str, *, epoch: int, since: datetime | None = None) -> Parity:
        """See :class:`ParityFigures`."""
        legacy = LEGACY_TABLES[aggregate_type].table
        living = select(func.count()).select_from(legacy).where(legacy.c[DELETED_AT].is_(None))
        change = legacy_change.c
        overdue = case((change.changed_at < self._clock() - PATIENCE, change.id))
        marks = select(
            func.count(func.distinct(change.id)),
            func.count(func.distinct(overdue)),
            func.min(change.changed_at),
        ).where(change.aggregate_type == aggregate_type)
        # Each has an index of its own: what was found and mended long ago is not looked at.
        finding = parity_finding.c
        mine = finding.aggregate_type == aggregate_type
        unresolved = (
            select(finding.verdict, func.count())
            .where(mine, finding.resolved_at.is_(None))
            .group_by(finding.verdict)
        )
        confirmed = select(func.count()).where(mine, finding.confirmed_at.is_not(None))
        if since is not None:
            confirmed = confirmed.where(finding.confirmed_at >= since)
        keys = self._read(lambda connection: connection.scalar(living)) or 0
        dirty, late, oldest = self._read(lambda connection: connection.execute(marks).one())
        verdicts = dict(
            self._read(lambda connection: [tuple(row) for row in connection.execute(unresolved)])
        )
        sweep = self.sweep(aggregate_type)
        return Parity(
            keys=keys,
            dirty=dirty,
            oldest=oldest,
            coverage=_coverage(sweep, epoch, keys, late),
            mismatches=verdicts.get(Verdict.MISMATCH, 0),
            confirmed=self._read(lambda connection: connection.scalar(confirmed)) or 0,
            ignored=verdicts.get(Verdict.IGNORED, 0),
            errors=verdicts.get(Verdict.ERROR, 0),
            swept_at=None if sweep is None or sweep.epoch != epoch else sweep.swept_at,
        )


def _coverage(sweep: Sweep | None, epoch: int, keys: int, late: int) -> float:
    if sweep is None or sweep.epoch != epoch:
        return 0.0
    if keys == 0:
        return 1.0 if sweep.swept_at is not None and not late else 0.0
    compared = keys if sweep.swept_at is not None else min(sweep.compared, keys)
    return max(0, compared - late) / keys


def _finding(row: RowMapping) -> Finding:
    return Finding(
        row["aggregate_type"],
        row["id"],
        Verdict(row["verdict"]),
        tuple(orjson.loads(row["fields"])),
        row["rule"],
        row["first_seen"],
        row["last_seen"],
        row["confirmed_at"],
        row["resolved_at"],
    )
