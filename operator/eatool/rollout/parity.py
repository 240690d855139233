"""Verify every key that was written to, and repair what a second look confirms."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic
from typing import Final, TypeVar

from sqlalchemy import Engine, delete, exists, select

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.legacy.tables import legacy_change
from eatool.rollout.comparison import Comparison, Verdict, Versions, compare, snapshot
from eatool.rollout.findings import Findings
from eatool.rollout.ignoring import Ignored, accept
from eatool.rollout.ledger import Standing, entered_from
from eatool.rollout.phases import Phase
from eatool.rollout.repair import UNRECORDED, Mended, Repair, Repaired
from eatool.rollout.view import PhaseView
from eatool.store.port import StoreError
from eatool.store.sql.database import Database

_T = TypeVar("_T")

_log = logging.getLogger(__name__)

_PAGE: Final = 2_000
#: Rewrites of one key in a row before it is left to the next sweep.
_REWRITES: Final = 3
#: Between these two it changes whether the row or the log is right.
_SIDES: Final = frozenset({Phase.DUAL_WRITE, Phase.PROJECTION_ONLY})
#: Phases in which legacy table and registry are to agree.
COMPARED: Final = frozenset({Phase.DUAL_WRITE, Phase.PROJECTION_ONLY, Phase.ASYNC_COMMANDS})


@dataclass(slots=True)
class Mark:
    """Writes of one row that wait to be verified; ``seqs`` is empty for a sweep's suspicion."""

    seqs: list[int] = field(default_factory=list)
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    versions: Versions
    at: float


class Verifier:
    """Verifies dirty keys and suspects; used from one event loop, by one process at a time.

    Args:
        engine: of the database that holds log, read tables and legacy tables.
        view: says where kinds stand.
        repair: brings sides together.
        findings: what is found is kept there.
        namespace: the one whose entities have legacy rows.
        ignored: rules that excuse differences, by aggregate type; a kind that is not in it waits
            until it is, for its rules are not known. ``None``: there are none, for any kind.
        grace: seconds between first and second look.

    """

    def __init__(
        self,
        engine: Engine,
        view: PhaseView,
        repair: Repair,
        findings: Findings,
        *,
        namespace: str,
        ignored: Mapping[str, Ignored] | None = None,
        grace: float = 2.0,
    ) -> None:
        self._database = Database(engine)
        self._view = view
        self._repair = repair
        self._findings = findings
        self._namespace = namespace
        self._ignored: Mapping[str, Ignored] = (
            {each: {} for each in KINDS} if ignored is None else ignored
        )
        self._grace = grace
        self._suspects: defaultdict[str, set[str]] = defaultdict(set)
        self._looked_at: Mapping[str, frozenset[str]] = {}
        self._looks: dict[tuple[str, str], _Look] = {}
        self._rewritten: defaultdict[tuple[str, str], int] = defaultdict(int)
        #: The rules that open findings were judged by.
        self._applied: dict[str, Ignored] = {}

    async def run(self, pause: float = 0.5) -> None:
        """Verify until cancelled."""
        while True:
            try:
                await self.once()
            except StoreError as error:
                _log.warning("Parity cannot be verified: %s", error)
            await asyncio.sleep(pause)

    async def once(self) -> int:
        """Look once at all dirty keys and suspects; how many are left to be looked at again."""
        left, after = 0, 0
        await asyncio.to_thread(self._suspect_by_new_rules)
        suspects, self._suspects = self._suspects, defaultdict(set)
        self._looked_at = {kind: frozenset(ids) for kind, ids in suspects.items()}
        while True:
            marks, last = await asyncio.to_thread(self._marks, after)
            for aggregate_type, by_id in marks.items():
                left += await self._verify(aggregate_type, by_id)
                suspects[aggregate_type] -= by_id.keys()
            if last is None:
                break
            after = last
        for aggregate_type, ids in suspects.items():
            for part in _parts(sorted(ids)):
                left += await self._verify(aggregate_type, {each: Mark() for each in part})
        self._looked_at = {}
        return left

    def suspect(self, aggregate_type: str, ids: Iterable[str]) -> None:
        """Have these looked at, written to or not."""
        self._suspects[aggregate_type].update(ids)

    def knows_rules(self, aggregate_type: str) -> bool:
        """Whether differences of the kind can be judged."""
        return aggregate_type in self._ignored

    def suspects(self, aggregate_type: str) -> frozenset[str]:
        """Those that are yet to be judged, or just are."""
        waiting = frozenset(self._suspects.get(aggregate_type, ()))
        return waiting | self._looked_at.get(aggregate_type, frozenset())

    async def settled(self, standing: Standing) -> bool:
        """Whether the transition under way may go on: nothing of the kind is left unverified.

        Asked only where it changes who is authoritative. What was written before under the old
        rules must have been dealt with by them.
        """
        if not {standing.phase, standing.preparing} >= _SIDES:
            return True
        if self.suspects(standing.aggregate_type):
            return False
        dirty = exists().where(legacy_change.c.aggregate_type == standing.aggregate_type)
        query = select(dirty)
        return not await asyncio.to_thread(
            self._database.query, lambda each: bool(each.scalar(query))
        )

    async def _verify(self, aggregate_type: str, marks: Mapping[str, Mark]) -> int:
        standing = self._view.of(aggregate_type)
        if standing is None:
            return 0
        if standing.phase not in COMPARED:
            await self._clear(aggregate_type, marks)
            return 0
        # They may be forgotten at any time: one look judges by the same ones throughout.
        rules = self._ignored.get(aggregate_type)
        if rules is None:
            self.suspect(aggregate_type, (each for each, mark in marks.items() if not mark.seqs))
            return len(marks)
        kind = KINDS[aggregate_type]
        compared = await asyncio.to_thread(self._compare, kind, list(marks), rules)
        done = {each.id: marks[each.id] for each in compared.values() if each.same}
        if done:
            await asyncio.to_thread(self._findings.resolve, aggregate_type, done)
        for each in compared.values():
            if each.same:
                continue
            if await self._judge(kind, standing, each, marks[each.id], rules):
                done[each.id] = marks[each.id]
            elif not marks[each.id].seqs:
                self._suspects[aggregate_type].add(each.id)
        await self._clear(aggregate_type, done)
        return len(marks) - len(done)

    async def _judge(
        self,
        kind: EntityKind,
        standing: Standing,
        compared: Comparison,
        mark: Mark,
        rules: Ignored,
    ) -> bool:
        """Deal with a difference; whether its key is done with for now."""
        if compared.rule is not None:
            await self._note(kind, standing, compared, Verdict.IGNORED)
            return True
        if not self._persists(kind, compared):
            return False
        if compared.behind:
            return False
        del self._looks[kind.aggregate_type, compared.id]
        repaired = await self._repaired(kind, standing, compared, mark)
        match repaired.how:
            case Mended.REFUSED:
                await self._refused(kind, standing, compared, repaired, rules)
                return True
            case Mended.REWRITTEN:
                await self._note(kind, standing, compared, Verdict.MISMATCH)
                self._rewritten[kind.aggregate_type, compared.id] += 1
                return self._rewritten[kind.aggregate_type, compared.id] >= _REWRITES
            case Mended.RECORDED | Mended.LATER:
                return False

    def _persists(self, kind: EntityKind, compared: Comparison) -> bool:
        """Whether this is a second look, late enough, at versions that did not change."""
        key, now = (kind.aggregate_type, compared.id), monotonic()
        look = self._looks.get(key)
        if look is None or look.versions != compared.versions:
            self._looks[key] = _Look(compared.versions, now)
            return self._grace == 0
        return now - look.at >= self._grace

    async def _repaired(
        self, kind: EntityKind, standing: Standing, compared: Comparison, mark: Mark
    ) -> Repaired:
        if await self._row_decides(standing, mark):
            return await self._repair.legacy_wins(kind, compared, standing)
        written = bool(mark.seqs) and not await self._was_refused(kind, compared)
        return await self._repair.log_wins(kind, compared, standing, written=written)

    async def _row_decides(self, standing: Standing, mark: Mark) -> bool:
        """Whether the row is right: by the phase that it was written in, not by today's."""
        today = standing.phase is Phase.DUAL_WRITE
        if mark.changed_at is None or mark.changed_at >= standing.since:
            return today
        past = await asyncio.to_thread(self._view.ledger.history, standing.aggregate_type)
        before = entered_from(standing, past)
        return before is Phase.DUAL_WRITE if before in _SIDES else today

    async def _was_refused(self, kind: EntityKind, compared: Comparison) -> bool:
        return bool(await self._complaints(kind, compared))

    async def _complaints(self, kind: EntityKind, compared: Comparison) -> tuple[str, ...]:
        """Why the row could not be recorded at an earlier look, if it could not."""
        found = await asyncio.to_thread(self._findings.get, kind.aggregate_type, compared.id)
        if found is None or found.resolved_at is not None:
            return ()
        return found.fields if found.verdict in {Verdict.ERROR, Verdict.IGNORED} else ()

    async def _refused(
        self,
        kind: EntityKind,
        standing: Standing,
        compared: Comparison,
        repaired: Repaired,
        rules: Ignored,
    ) -> None:
        complaints = tuple(str(error) for error in repaired.errors)
        if repaired.errors == (UNRECORDED,):
            # Nobody asks the domain any more, which has given the better reason.
            complaints = await self._complaints(kind, compared) or complaints
        rule = accept(rules, complaints)
        verdict = Verdict.ERROR if rule is None else Verdict.IGNORED
        await self._note(kind, standing, replace(compared, rule=rule), verdict, complaints)

    async def _note(
        self,
        kind: EntityKind,
        standing: Standing,
        compared: Comparison,
        verdict: Verdict,
        complaints: Sequence[str] = (),
    ) -> None:
        await asyncio.to_thread(
            self._findings.note, kind, compared, verdict, standing.epoch, complaints
        )
        # Never values: fields and codes only.
        _log.info("parity of %s: %s", kind.ref(self._namespace, compared.id), verdict)

    def _compare(
        self, kind: EntityKind, ids: Collection[str], rules: Ignored
    ) -> dict[str, Comparison]:
        with self._database.translated(), snapshot(self._database.engine) as connection:
            return compare(connection, kind, self._namespace, ids, rules)

    def _suspect_by_new_rules(self) -> None:
        """Have open findings looked at again when the rules that judge them have changed."""
        for aggregate_type, rules in dict(self._ignored).items():
            if self._applied.get(aggregate_type) != rules:
                self.suspect(aggregate_type, self._findings.unresolved(aggregate_type))
                self._applied[aggregate_type] = rules

    # -- dirty keys --------------------------------------------------------------------------

    def _marks(self, after: int) -> tuple[dict[str, dict[str, Mark]], int | None]:
        """The next page of dirty keys, and where the one after it begins, if there is one."""
        query = (
            select(legacy_change)
            .where(legacy_change.c.seq > after)
            .order_by(legacy_change.c.seq)
            .limit(_PAGE)
        )
        rows = self._database.query(lambda connection: connection.execute(query).all())
        marks: defaultdict[str, dict[str, Mark]] = defaultdict(dict)
        for row in rows:
            mark = marks[row.aggregate_type].setdefault(row.id, Mark())
            mark.seqs.append(row.seq)
            mark.changed_at = row.changed_at
        return dict(marks), rows[-1].seq if len(rows) == _PAGE else None

    async def _clear(self, aggregate_type: str, marks: Mapping[str, Mark]) -> None:
        for row_id in marks:
            self._looks.pop((aggregate_type, row_id), None)
            self._rewritten.pop((aggregate_type, row_id), None)
        seqs = sorted(seq for mark in marks.values() for seq in mark.seqs)
        if seqs:
            await asyncio.to_thread(self._delete, seqs)

    def _delete(self, seqs: list[int]) -> None:
        """Exactly those that were read: smaller numbers may yet be committed."""
        with self._database.write() as connection:
            for part in _parts(seqs):
                connection.execute(delete(legacy_change).where(legacy_change.c.seq.in_(part)))


def _parts(items: list[_T], size: int = 1_000) -> Iterator[list[_T]]:
    yield from (items[start : start + size] for start in range(0, len(items), size))
