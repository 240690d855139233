"""The queue in the log's database, SQLite or PostgreSQL.

Every transaction that decides about a stream's commands holds the stream's row: on PostgreSQL by
its lock, on SQLite because there is one writer. Claims skip rows that somebody holds. Skipping
*commands* would let two workers have two of one stream; a stream has only one row to skip.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, or_, select

from eatool.commands import results, rows, statements
from eatool.commands.ordering import can_be_released, can_be_woken, replaced
from eatool.commands.port import (
    UNSTARTED,
    Command,
    CommandState,
    Figures,
    Known,
    Leased,
    Queued,
    StoredCommand,
)
from eatool.commands.results import Awaiting, Refused, Result
from eatool.commands.sql_reading import CommandReader
from eatool.commands.tables import command, command_stream
from eatool.store.clock import Clock
from eatool.store.listeners import Listeners
from eatool.store.sql.database import Database


class SqlCommandQueue:
    """See :class:`~eatool.commands.port.CommandQueue`; thread-safe.

    ``engine`` comes from :func:`~eatool.store.sql.engine.open_engine`. Times are the database
    server's on PostgreSQL, so the clocks of worker hosts do not matter.
    """

    def __init__(self, engine: Engine, *, clock: Clock | None = None) -> None:
        self._database = Database(engine, clock=clock)
        self._listeners = Listeners()
        self._reader = CommandReader(self._database)
        self._insert = self._database.insert(command_stream)

    def enqueue(self, command_: Command) -> Queued | Known:
        """See the port."""
        # A restart asks for everything again: most ids are known, and reading takes no lock.
        known = self._reader.get(command_.id)
        if known is not None:
            return Known(known)
        with self._database.write() as connection:
            self._lock(connection, command_.stream_id)
            pending = statements.read(
                connection,
                or_(
                    command.c.id == command_.id,
                    (command.c.stream_id == command_.stream_id) & statements.PENDING_HERE,
                ),
            )
            known = next((each for each in pending if each.command.id == command_.id), None)
            if known is not None:
                return Known(known)
            stored = self._add(connection, command_, pending)
        if stored.state is CommandState.QUEUED:
            self._listeners.wake(stored.sequence)
        return Queued(stored)

    def claim(self, worker: str, lease: float, limit: int) -> list[Leased]:
        """See the port."""
        if limit <= 0:
            return []
        with self._database.write() as connection:
            now = self._database.now(connection)
            due = connection.execute(
                select(statements.STREAM.stream_id, statements.STREAM.epoch)
                .where(statements.STREAM.claimable_at <= now)
                .order_by(statements.STREAM.claimable_at)
                .limit(limit)
                .with_for_update(skip_locked=True)
            ).all()
            epochs = {row.stream_id: row.epoch + 1 for row in due}
            return statements.start(connection, epochs, worker, now, lease) if epochs else []

    def renew(self, leased: Sequence[Leased], lease: float) -> list[Leased]:
        """See the port."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            until = now + timedelta(seconds=lease)
            # In one order, so that two processes' renewals never deadlock.
            return [
                each
                for each in sorted(leased, key=lambda each: each.command.stream_id)
                if not statements.hold(connection, each, now, claimable_at=until)
            ]

    def finish(self, leased: Leased, result: Result, *, again_after: float = 60.0) -> bool:
        """See the port."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            if not statements.hold(connection, leased, now, owner=None):
                return False
            if isinstance(result, Awaiting | Refused) and statements.is_woken(connection, leased):
                values = _requeued(now)
            elif isinstance(result, Awaiting):
                due = now + timedelta(seconds=again_after)
                values = {"state": CommandState.WAITING, "due_at": due, "attempts": 0}
            else:
                latency = (now - leased.enqueued_at).total_seconds()
                values = {"state": CommandState.FINISHED, "due_at": None, "finished_at": now,
                          "latency": latency}  # fmt: skip
            told = {"result": results.dump(result), "error": None}
            statements.put_down(connection, leased, values | told)
            return True

    def retry(self, leased: Leased, after: float, why: str, *, counted: bool = True) -> bool:
        """See the port."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            values = {
                "state": CommandState.QUEUED,
                "due_at": now + timedelta(seconds=after),
                "attempts": leased.attempts - (not counted),
                "error": why,
            }
            return statements.let_go(connection, leased, now, values)

    def bury(self, leased: Leased, why: str) -> bool:
        """See the port."""
        with self._database.write() as connection:
            values = {"state": CommandState.DEAD, "due_at": None, "error": why}
            return statements.let_go(connection, leased, self._database.now(connection), values)

    def wake(self, stream_ids: Collection[str]) -> int:
        """See the port."""
        woken: list[StoredCommand] = []
        # One transaction each: in one for all, two wakers could wait for each other.
        for stream_id in sorted(set(stream_ids)):
            woken += self._wake(stream_id)
        if woken:
            self._listeners.wake(woken[-1].sequence)
        return len(woken)

    def release(self, command_id: UUID) -> bool:
        """See the port."""
        return self._decide(command_id, _released)

    def discard(self, command_id: UUID) -> bool:
        """See the port."""
        return self._decide(command_id, _discarded)

    def get(self, command_id: UUID) -> StoredCommand | None:
        """See the port."""
        return self._reader.get(command_id)

    def find(
        self,
        *,
        states: Collection[CommandState] | None = None,
        stream_id: str | None = None,
        aggregate_type: str | None = None,
        limit: int = 200,
    ) -> list[StoredCommand]:
        """See the port."""
        return self._reader.find(states, stream_id, aggregate_type, limit)

    def figures(
        self,
        *,
        aggregate_type: str | None = None,
        window: float = 3600.0,
        quantiles: Sequence[float] = (0.5, 0.95, 0.99),
    ) -> Figures:
        """See the port."""
        return self._reader.figures(aggregate_type, window, quantiles)

    def prune(self, older_than: float, limit: int = 1000) -> int:
        """See the port."""
        with self._database.write() as connection:
            horizon = self._database.now(connection) - timedelta(seconds=older_than)
            old = (
                select(command.c.sequence)
                .where(command.c.finished_at < horizon, ~statements.PENDING_HERE)
                .order_by(command.c.finished_at)
                .limit(limit)
            )
            return connection.execute(
                command.delete().where(command.c.sequence.in_(old), ~statements.PENDING_HERE)
            ).rowcount

    def on_enqueue(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """See the port."""
        return self._listeners.add(wake)

    # -- pieces of transactions --------------------------------------------------------------

    def _lock(self, connection: Connection, stream_id: str) -> None:
        """Hold the stream's row, making it first if need be."""
        # The update changes nothing; it locks the row in the same round trip.
        row = self._insert.values(stream_id=stream_id, epoch=0)
        connection.execute(
            row.on_conflict_do_update(
                index_elements=[statements.STREAM.stream_id],
                set_={"epoch": statements.STREAM.epoch},
            )
        )

    def _add(
        self, connection: Connection, new: Command, pending: Sequence[StoredCommand]
    ) -> StoredCommand:
        """Insert ``new`` behind (and instead of) what is pending in its stream."""
        now = self._database.now(connection)
        values = rows.written(new) | {"enqueued_at": now, "attempts": 0}
        ahead = statements.overtaken_by(connection, new)
        if ahead is not None:
            values |= {
                "state": CommandState.SUPERSEDED, "finished_at": now, "superseded_by": ahead,
            }  # fmt: skip
            return statements.insert(connection, values)
        stored = statements.insert(
            connection, values | {"state": CommandState.QUEUED, "due_at": now}
        )
        older = replaced(new, pending)
        statements.supersede(connection, older, new.id, now)
        left = [each for each in pending if each not in older]
        statements.settle(connection, new.stream_id, [*left, stored])
        return stored

    def _wake(self, stream_id: str) -> list[StoredCommand]:
        with self._database.write() as connection:
            self._lock(connection, stream_id)
            newest = statements.newest(connection, stream_id)
            last = command.c.sequence == newest
            found = statements.read(
                connection, command.c.stream_id == stream_id, or_(statements.PENDING_HERE, last)
            )
            woken = [each for each in found if can_be_woken(each, newest)]
            for each in woken:
                if each.state is CommandState.RUNNING:
                    statements.change(
                        connection, each.command.id, {"due_at": self._database.now(connection)}
                    )
                else:
                    statements.change(
                        connection, each.command.id, _requeued(self._database.now(connection))
                    )
            if woken:
                statements.settle(connection, stream_id)
            return woken

    def _decide(
        self,
        command_id: UUID,
        decide: Callable[[StoredCommand, int, datetime], dict[str, Any] | None],
    ) -> bool:
        """Change one command as a person wishes; False when the rules are against it."""
        known = self._reader.get(command_id)
        if known is None:
            return False
        stream_id = known.command.stream_id
        with self._database.write() as connection:
            self._lock(connection, stream_id)
            stored = statements.get(connection, command_id)
            if stored is None:
                return False
            newest = statements.newest(connection, stream_id)
            values = decide(stored, newest, self._database.now(connection))
            if values is None:
                return False
            statements.change(connection, command_id, values)
            statements.settle(connection, stream_id)
        self._listeners.wake(known.sequence)
        return True


def _released(stored: StoredCommand, newest: int, now: datetime) -> dict[str, Any] | None:
    return _requeued(now) if can_be_released(stored, newest) else None


def _discarded(stored: StoredCommand, _newest: int, now: datetime) -> dict[str, Any] | None:
    if stored.state not in UNSTARTED:
        return None
    return {"state": CommandState.DISCARDED, "due_at": None, "finished_at": now}


def _requeued(now: datetime) -> dict[str, Any]:
    return {
        "state": CommandState.QUEUED,
        "due_at": now,
        "attempts": 0,
        "finished_at": None,
        "latency": None,
        "result": None,
    }
