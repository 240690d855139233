"""What a phase leaves unfinished: a side decides only when it has all that was accepted.

Looks at the database alone, so it does not matter which replica answers, and which never will.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, cast

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, OperationalError

from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntitySpec
from eatool.domain.kinds import KINDS
from eatool.legacy.tables import legacy_change
from eatool.legacy.writing import LegacyRows
from eatool.projections.following import FollowingLag, lags
from eatool.registry.folding import fold_events
from eatool.rollout.closing import obstacle
from eatool.rollout.feed import DEFERRED
from eatool.rollout.findings import PATIENCE, Findings
from eatool.rollout.ledger import Standing, TransitionRecord, entered_from
from eatool.rollout.phases import Phase
from eatool.store.sql.database import Database
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.tables import event

_NONE: Final = timedelta()
#: Entities that are tried one by one to find the row that a table refuses.
_TRIED: Final = 100
_NAMED: Final = 3
_SIDES: Final = frozenset({Phase.DUAL_WRITE, Phase.PROJECTION_ONLY})

#: Names that a sweep suspects, by aggregate type.
Suspects = Callable[[str], Collection[str]]


class Draining:
    """Asked by whoever decides. Methods block; raise :class:`~eatool.store.port.StoreError`.

    Args:
        store: log, read tables and legacy tables.
        findings: open mismatches are unfinished work.
        suspects: so is what is yet to be looked at.
        namespace: the one whose entities have legacy rows.

    """

    def __init__(
        self, store: SqlEventStore, findings: Findings, suspects: Suspects, namespace: str
    ) -> None:
        self._store = store
        self._database = Database(store.engine)
        self._findings = findings
        self._suspects = suspects
        self._namespace = namespace

    def left(self, standing: Standing, history: Sequence[TransitionRecord]) -> str | None:
        """What the transition under way has to wait for, in words; ``None`` when all is done.

        Of the rows it is those that nobody has written since the announcement: a table that is
        written all the time could never be left otherwise. What is written later is judged by
        the phase it was written in.
        """
        if (prepared := standing.preparation) is None:
            return None
        behind = self._behind(standing, prepared.to, _NONE)
        if behind is not None:
            return behind
        if prepared.to is Phase.RETIRED and (found := self._obstacle(standing)) is not None:
            return found
        if _has_gone_back(standing, prepared.to, history):
            return self._unverified(standing, standing.since)
        if not _changes_sides(standing.phase, prepared.to):
            return None
        open_ = set(self._suspects(standing.aggregate_type))
        if standing.phase.log_decides:
            open_ |= set(self._findings.mismatched(standing.aggregate_type))
        return self._unverified(standing, prepared.since, open_)

    def overdue(self, standing: Standing) -> str | None:
        """What would be lost by going back now, and should be done by now; ``None`` = nothing."""
        back = standing.phase.previous
        if back is None or not standing.phase.log_decides:
            return None
        behind = self._behind(standing, back, PATIENCE)
        if behind is not None:
            return behind
        with self._database.read() as connection:
            due = self._database.now(connection) - PATIENCE
        open_ = self._findings.mismatched(standing.aggregate_type, before=due)
        return self._unverified(standing, due, open_)

    def _obstacle(self, standing: Standing) -> str | None:
        kind = KINDS[standing.aggregate_type]
        with self._database.read() as connection:
            return obstacle(connection, kind, self._database.now(connection))

    # -- the legacy table follows the log --------------------------------------------------------

    def _behind(self, standing: Standing, to: Phase, age: timedelta) -> str | None:
        """Queued commands need not be waited for: they are decided in whatever phase there is."""
        if not standing.phase.log_decides or to is Phase.ASYNC_COMMANDS:
            return None
        lag = lags(self._database).get(standing.aggregate_type)
        if lag is None:
            followed = standing.phase not in DEFERRED
            return None if followed else "the legacy table does not follow the log yet"
        if lag.events == 0 or lag.seconds < age.total_seconds():
            return None
        events = "1 recorded event is" if lag.events == 1 else f"{lag.events} recorded events are"
        waiting = f"{events} not in the legacy table yet"
        if lag.seconds < PATIENCE.total_seconds():
            return waiting
        refused = self._refused(standing.aggregate_type, lag)
        if not refused:
            return waiting
        return f"{waiting}: it refuses the row of {_names(refused)}"

    def _refused(self, aggregate_type: str, lag: FollowingLag) -> list[str]:
        """Entities whose rows the table does not take; each is tried, and undone."""
        prefix = f"{aggregate_type}/{self._namespace}/"
        query = (
            select(event.c.stream_id)
            .where(
                event.c.position > lag.position,
                event.c.stream_id.startswith(prefix, autoescape=True),
            )
            .group_by(event.c.stream_id)
            .order_by(func.min(event.c.position))
            .limit(_TRIED)
        )
        streams = self._database.query(lambda connection: list(connection.scalars(query)))
        wanted = {ref.name: self._spec(ref) for ref in map(EntityRef.parse, streams)}
        with self._store.transaction() as connection:
            rows = LegacyRows(connection)
            takes = partial(_takes, rows, aggregate_type)
            return [name for name, spec in wanted.items() if not takes(name, spec)]

    def _spec(self, ref: EntityRef) -> EntitySpec | None:
        folded = fold_events(ref, self._store.read_stream(ref.stream_id))
        return cast("EntitySpec | None", folded.state.spec)

    # -- every row is as the authoritative side says ---------------------------------------------

    def _unverified(
        self, standing: Standing, before: datetime, differing: Iterable[str] = ()
    ) -> str | None:
        """Rows written and not looked at since, and ``differing`` ones; none written later."""
        aggregate_type = standing.aggregate_type
        newest = (
            select(legacy_change.c.id, func.max(legacy_change.c.changed_at).label("at"))
            .where(legacy_change.c.aggregate_type == aggregate_type)
            .group_by(legacy_change.c.id)
        )
        marks = self._database.query(lambda connection: connection.execute(newest).all())
        written = {row.id for row in marks if row.at >= before}
        left = ({row.id for row in marks} | set(differing)) - written
        if not left:
            return None
        table = KINDS[aggregate_type].table
        rows = "1 row" if len(left) == 1 else f"{len(left)} rows"
        return f"{rows} of {table} not verified yet: {_names(left)}"


def _has_gone_back(standing: Standing, to: Phase, history: Sequence[TransitionRecord]) -> bool:
    """Whether rows may be left that the log has yet to put right, and then nobody would."""
    return to is Phase.LEGACY and entered_from(standing, history) is Phase.PROJECTION_ONLY


def _changes_sides(phase: Phase, to: Phase) -> bool:
    """Whether another side decides, or nobody looks at the rows, from then on."""
    return {phase, to} == _SIDES or to is Phase.RETIRED


def _takes(rows: LegacyRows, aggregate_type: str, name: str, spec: EntitySpec | None) -> bool:
    with rows.tentative():
        try:
            rows.write(aggregate_type, {name: spec})
        except OperationalError:  # the database, not the row
            raise
        except DBAPIError:
            return False
        return True


def _names(names: Collection[str]) -> str:
    first = sorted(names)[:_NAMED]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")
