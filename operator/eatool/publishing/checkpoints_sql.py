"""Checkpoints in the log's database, SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)

from eatool.publishing import parked_rows
from eatool.publishing.checkpoints import Claim, Cursor, CursorState, ParkedStream, Plan
from eatool.publishing.tables import parked_stream, relay_cursor, relay_member
from eatool.store.clock import Clock
from eatool.store.port import PARTITIONS
from eatool.store.sql.database import Database

_STATE = (
    relay_cursor.c.partition,
    relay_cursor.c.position,
    relay_cursor.c.epoch,
    relay_cursor.c.owner,
    relay_cursor.c.lease_until,
    relay_cursor.c.sent,
)
_SAVE = (
    update(relay_cursor)
    .where(
        relay_cursor.c.destination == bindparam("of_destination"),
        relay_cursor.c.partition == bindparam("of_partition"),
        relay_cursor.c.epoch == bindparam("of_epoch"),
        relay_cursor.c.owner == bindparam("of_owner"),
        relay_cursor.c.position < bindparam("to_position"),
    )
    .values(position=bindparam("to_position"), sent=bindparam("to_sent"))
)


class SqlCheckpoints:
    """See :class:`~eatool.publishing.checkpoints.Checkpoints`.

    ``engine`` comes from :func:`~eatool.store.sql.engine.open_engine`. Leases are measured by
    the database server's clock on PostgreSQL, so the clocks of relay hosts do not matter.
    """

    def __init__(self, engine: Engine, *, clock: Clock | None = None) -> None:
        self._database = Database(engine, clock=clock)

    def claim(self, destination: str, owner: str, *, lease: float, start: int = 0) -> Claim:
        """See the port."""
        with self._database.write() as connection:
            cursors = self._lock_cursors(connection, destination, start)
            now = self._database.now(connection)
            until = now + timedelta(seconds=lease)
            members = self._join(connection, destination, owner, now, until)
            plan = Plan.of(cursors, members, owner, now)
            claim = plan.claim
            if claim.held:
                connection.execute(
                    update(relay_cursor)
                    .where(
                        relay_cursor.c.destination == destination,
                        relay_cursor.c.partition == bindparam("of_partition"),
                    )
                    .values(owner=owner, lease_until=until, epoch=bindparam("to_epoch")),
                    [
                        {"of_partition": each.partition, "to_epoch": each.epoch}
                        for each in claim.held
                    ],
                )
            return claim

    def begin(self, destination: str, start: int) -> None:
        """See the port."""
        with self._database.write() as connection:
            self._lock_cursors(connection, destination, start)

    def save(self, destination: str, owner: str, cursors: Sequence[Cursor]) -> frozenset[int]:
        """See the port."""
        if not cursors:
            return frozenset()
        with self._database.write() as connection:
            moved = connection.execute(
                _SAVE,
                [
                    {
                        "of_destination": destination,
                        "of_partition": cursor.partition,
                        "of_epoch": cursor.epoch,
                        "of_owner": owner,
                        "to_position": cursor.position,
                        "to_sent": cursor.sent,
                    }
                    # In the order in which claims lock, so that the two never deadlock.
                    for cursor in sorted(cursors, key=lambda cursor: cursor.partition)
                ],
            ).rowcount
            if moved == len(cursors):
                return frozenset()
            held = {
                (each.partition, each.epoch)
                for each in self._states(connection, destination)
                if each.owner == owner
            }
        return frozenset(
            cursor.partition for cursor in cursors if (cursor.partition, cursor.epoch) not in held
        )

    def release(self, destination: str, owner: str, partitions: Collection[int]) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute(
                update(relay_cursor)
                .where(
                    relay_cursor.c.destination == destination,
                    relay_cursor.c.owner == owner,
                    relay_cursor.c.partition.in_(partitions),
                )
                .values(owner=None, lease_until=None)
            )

    def leave(self, destination: str, owner: str) -> None:
        """See the port."""
        with self._database.write() as connection:
            connection.execute(
                update(relay_cursor)
                .where(relay_cursor.c.destination == destination, relay_cursor.c.owner == owner)
                .values(owner=None, lease_until=None)
            )
            connection.execute(
                delete(relay_member).where(
                    relay_member.c.destination == destination, relay_member.c.owner == owner
                )
            )

    def cursors(self, destination: str) -> list[CursorState]:
        """See the port."""
        with self._database.read() as connection:
            return self._states(connection, destination)

    def destinations(self) -> list[str]:
        """See the port."""
        column = relay_cursor.c.destination
        with self._database.read() as connection:
            return list(connection.scalars(select(column).distinct().order_by(column)))

    def forget(self, destination: str) -> bool:
        """See the port."""
        with self._database.write() as connection:
            # The lock keeps claims out; those that wait for it make new cursors.
            self._states(connection, destination, lock=True)
            alive = select(relay_member.c.owner).where(
                relay_member.c.destination == destination,
                relay_member.c.lease_until > self._database.now(connection),
            )
            if connection.execute(alive).first() is not None:
                return False
            for table in (relay_cursor, relay_member, parked_stream):
                connection.execute(delete(table).where(table.c.destination == destination))
            return True

    def park(self, destination: str, owner: str, epoch: int, stream: ParkedStream) -> bool:
        """See the port."""
        with self._database.write() as connection:
            if not self._holds(connection, destination, owner, stream.partition, epoch):
                return False
            parked_rows.write(connection, destination, stream)
            return True

    def parked(
        self, destination: str, partitions: Collection[int] | None = None
    ) -> list[ParkedStream]:
        """See the port."""
        with self._database.read() as connection:
            return parked_rows.read(connection, destination, partitions)

    def request_resend(self, destination: str, stream_id: str) -> bool:
        """See the port."""
        with self._database.write() as connection:
            return parked_rows.request_resend(connection, destination, stream_id)

    def unpark(self, destination: str, owner: str, epoch: int, stream: ParkedStream) -> bool:
        """See the port."""
        with self._database.write() as connection:
            if not self._holds(connection, destination, owner, stream.partition, epoch):
                return False
            parked_rows.remove(connection, destination, stream.stream_id)
            return True

    # -- pieces of transactions --------------------------------------------------------------

    def _lock_cursors(
        self, connection: Connection, destination: str, start: int
    ) -> list[CursorState]:
        """All cursors, locked in one order; a claim sees the result of the claim before it."""
        cursors = self._states(connection, destination, lock=True)
        if cursors:
            return cursors
        connection.execute(
            self._database.insert(relay_cursor).on_conflict_do_nothing(),
            [
                {
                    "destination": destination,
                    "partition": each,
                    "position": start,
                    "epoch": 0,
                    "sent": 0,
                }
                for each in range(PARTITIONS)
            ],
        )
        return self._states(connection, destination, lock=True)

    @staticmethod
    def _states(
        connection: Connection, destination: str, *, lock: bool = False
    ) -> list[CursorState]:
        query: Select[int, int, int, str | None, datetime | None, int] = (
            select(*_STATE)
            .where(relay_cursor.c.destination == destination)
            .order_by(relay_cursor.c.partition)
        )
        if lock:
            query = query.with_for_update()
        return [CursorState(*row) for row in connection.execute(query)]

    @staticmethod
    def _join(
        connection: Connection, destination: str, owner: str, now: datetime, until: datetime
    ) -> list[str]:
        """Drop dead members, write ourselves down, return everybody alive."""
        here = relay_member.c.destination == destination
        connection.execute(
            delete(relay_member).where(
                here, or_(relay_member.c.lease_until <= now, relay_member.c.owner == owner)
            )
        )
        connection.execute(
            insert(relay_member).values(destination=destination, owner=owner, lease_until=until)
        )
        return list(connection.scalars(select(relay_member.c.owner).where(here)))

    @staticmethod
    def _holds(
        connection: Connection, destination: str, owner: str, partition: int, epoch: int
    ) -> bool:
        query = (
            select(relay_cursor.c.epoch)
            .where(
                relay_cursor.c.destination == destination,
                relay_cursor.c.partition == partition,
                relay_cursor.c.owner == owner,
                relay_cursor.c.epoch == epoch,
            )
            .with_for_update()
        )
        return connection.execute(query).first() is not None
