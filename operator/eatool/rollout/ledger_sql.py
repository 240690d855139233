"""The ledger in the log's database: phase, fence and event move in one transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from eatool.domain.events import JsonObject
from eatool.domain.kinds import KINDS
from eatool.rollout import ledger_rows as rows
from eatool.rollout.closing import close_table
from eatool.rollout.ledger import (
    DEAD_AFTER,
    HISTORY_LIMIT,
    Cause,
    NoSuchStep,
    NotUnderRollout,
    Replica,
    Standing,
    TransitionRecord,
    TransitionResult,
    TransitionUnderWay,
    fence_name,
    stream_of,
)
from eatool.rollout.phases import Phase
from eatool.rollout.tables import rollout, rollout_history, rollout_replica
from eatool.store.clock import Clock
from eatool.store.port import Append, Fence, NewEvent, RecordedEvent
from eatool.store.sql.database import Database
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.tables import event
from eatool.store.sql.tables import fence as fences

#: Silent replicas are forgotten after this.
FORGOTTEN_AFTER: Final = timedelta(hours=1)


class SqlLedger:
    """See :class:`~eatool.rollout.ledger.Ledger`.

    Time is the database server's on PostgreSQL, so the clocks of the replicas do not matter.
    """

    def __init__(self, store: SqlEventStore, *, clock: Clock | None = None) -> None:
        self._store = store
        self._database = Database(store.engine, clock=clock)

    def standings(self) -> dict[str, Standing]:
        """See the port."""
        with self._database.read() as connection:
            found = connection.execute(select(rollout)).all()
        return {row.aggregate_type: rows.standing(row) for row in found}

    def enroll(self, aggregate_type: str, cause: Cause) -> Standing:
        """See the port."""
        with self._store.transaction() as connection:
            now = self._database.now(connection)
            first = {
                "aggregate_type": aggregate_type,
                "phase": Phase.LEGACY.value,
                "epoch": 1,
                "announced": 1,
                "since": now,
            }
            enter = self._database.insert(rollout).values(first).on_conflict_do_nothing()
            if connection.execute(enter.returning(rollout.c.epoch)).first() is not None:
                record = TransitionRecord(
                    aggregate_type,
                    1,
                    TransitionResult.ENROLLED,
                    None,
                    Phase.LEGACY,
                    now,
                    now,
                    cause,
                )
                self._record(connection, record, Fence(fence_name(aggregate_type), 0, moves_to=1))
            return locked(connection, aggregate_type)

    def begin(self, aggregate_type: str, to: Phase, cause: Cause) -> Standing:
        """See the port."""
        with self._store.transaction() as connection:
            standing = locked(connection, aggregate_type)
            if standing.preparation is not None:
                if standing.preparation.to is to:
                    return standing
                raise TransitionUnderWay(
                    f"{aggregate_type}: the transition to {standing.preparing} has not ended yet"
                )
            if (refusal := standing.phase.refusal(to)) is not None:
                raise NoSuchStep(f"{aggregate_type}: {refusal}")
            connection.execute(
                update(rollout)
                .where(rollout.c.aggregate_type == aggregate_type)
                .values(
                    announced=rollout.c.announced + 1,
                    preparing=to.value,
                    prepared_at=self._database.now(connection),
                    cause=rows.text(cause),
                )
            )
            return locked(connection, aggregate_type)

    def commit(self, aggregate_type: str, epoch: int) -> Standing:
        """See the port."""
        with self._store.transaction() as connection:
            standing = locked(connection, aggregate_type)
            if standing.epoch == epoch and standing.preparation is None:
                return standing
            prepared = rows.announced(standing, epoch)
            now = self._database.now(connection)
            if prepared.to is Phase.RETIRED:
                # In the order of whoever writes rows: the fence, then the table.
                held = select(fences).where(fences.c.name == fence_name(aggregate_type))
                connection.execute(held.with_for_update())
                close_table(connection, KINDS[aggregate_type], now)
            connection.execute(
                update(rollout)
                .where(rollout.c.aggregate_type == aggregate_type)
                .values(phase=prepared.to.value, epoch=epoch, since=now, **_NOT_PREPARING)
            )
            record = rows.ended(standing, prepared, now)
            # Last, because it locks the log until the end of the transaction.
            fence = Fence(fence_name(aggregate_type), standing.epoch, moves_to=epoch)
            self._record(connection, record, fence)
            return locked(connection, aggregate_type)

    def abort(self, aggregate_type: str, epoch: int, reason: str) -> Standing:
        """See the port."""
        with self._store.transaction() as connection:
            standing = locked(connection, aggregate_type)
            if standing.preparation is None and epoch != standing.epoch:
                return standing
            prepared = rows.announced(standing, epoch)
            connection.execute(
                update(rollout)
                .where(rollout.c.aggregate_type == aggregate_type)
                .values(**_NOT_PREPARING)
            )
            _remember(
                connection,
                rows.ended(standing, prepared, self._database.now(connection), aborted=reason),
            )
            return locked(connection, aggregate_type)

    def heartbeat(self, replica: str, acknowledged: dict[str, int]) -> None:
        """See the port."""
        if not acknowledged:
            return
        with self._store.transaction() as connection:
            sign = self._database.insert(rollout_replica)
            sign = sign.on_conflict_do_update(
                index_elements=[rollout_replica.c.replica, rollout_replica.c.aggregate_type],
                set_={"acked_epoch": sign.excluded.acked_epoch, "seen_at": sign.excluded.seen_at},
            )
            now = self._database.now(connection)
            connection.execute(
                sign,
                [
                    {
                        "replica": replica,
                        "aggregate_type": aggregate_type,
                        "acked_epoch": epoch,
                        "seen_at": now,
                    }
                    for aggregate_type, epoch in sorted(acknowledged.items())
                ],
            )

    def leave(self, replica: str) -> None:
        """See the port."""
        with self._store.transaction() as connection:
            connection.execute(delete(rollout_replica).where(rollout_replica.c.replica == replica))

    def replicas(self, aggregate_type: str) -> list[Replica]:
        """See the port."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            found = connection.execute(
                select(rollout_replica)
                .where(
                    rollout_replica.c.aggregate_type == aggregate_type,
                    rollout_replica.c.seen_at > now - FORGOTTEN_AFTER,
                )
                .order_by(rollout_replica.c.replica)
            ).all()
        return [
            Replica(row.replica, row.acked_epoch, row.seen_at, now - row.seen_at < DEAD_AFTER)
            for row in found
        ]

    def history(self, aggregate_type: str, limit: int = HISTORY_LIMIT) -> list[TransitionRecord]:
        """See the port."""
        with self._database.read() as connection:
            found = connection.execute(
                select(rollout_history)
                .where(rollout_history.c.aggregate_type == aggregate_type)
                .order_by(rollout_history.c.epoch.desc())
                .limit(limit)
            ).all()
        return [rows.transition(row) for row in found]

    # -- pieces of transactions --------------------------------------------------------------

    def _record(self, connection: Connection, record: TransitionRecord, fence: Fence) -> None:
        """Append the event, which moves the fence, and remember the transition."""
        recorded = append_step(
            self._store, connection, record.aggregate_type, rows.phase_changed(record), fence
        )
        _remember(connection, record, recorded)


def locked(connection: Connection, aggregate_type: str) -> Standing:
    """The standing of a kind, which nobody else can change until the transaction ends.

    Raises :class:`~eatool.rollout.ledger.NotUnderRollout`.
    """
    query = select(rollout).where(rollout.c.aggregate_type == aggregate_type)
    row = connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        raise NotUnderRollout(aggregate_type)
    return rows.standing(row)


def append_step(
    store: SqlEventStore,
    connection: Connection,
    aggregate_type: str,
    step: NewEvent,
    fence: Fence,
) -> RecordedEvent:
    """Append to the stream of a kind whose row is :func:`locked`: nobody else appends to it."""
    stream_id = stream_of(aggregate_type)
    version = connection.scalar(
        select(func.max(event.c.version)).where(event.c.stream_id == stream_id)
    )
    appended = store.append_in(connection, Append(stream_id, version or 0, (step,), fence=fence))
    return appended.events[0]


_NOT_PREPARING: Final[JsonObject] = {"preparing": None, "prepared_at": None, "cause": None}


def _remember(
    connection: Connection, record: TransitionRecord, recorded: RecordedEvent | None = None
) -> None:
    table = rollout_history
    connection.execute(
        insert(table).values(
            aggregate_type=record.aggregate_type,
            epoch=record.epoch,
            result=record.result.value,
            source=record.source and record.source.value,
            target=record.target.value,
            started_at=record.started_at,
            finished_at=record.finished_at,
            cause=rows.text(record.cause),
            position=recorded and recorded.position,
        )
    )
    mine = table.c.aggregate_type == record.aggregate_type
    if record.result is TransitionResult.ABORTED:
        # Of attempts in a row the last one tells all; they must not push out what was done.
        done = select(func.max(table.c.epoch)).where(mine, table.c.result != record.result.value)
        attempts = table.c.epoch.between(
            func.coalesce(done.scalar_subquery(), 0) + 1, record.epoch - 1
        )
        connection.execute(delete(table).where(mine, attempts))
    oldest_kept = (
        select(table.c.epoch)
        .where(mine)
        .order_by(table.c.epoch.desc())
        .offset(HISTORY_LIMIT - 1)
        .limit(1)
        .scalar_subquery()
    )
    connection.execute(delete(table).where(mine, table.c.epoch < oldest_kept))
