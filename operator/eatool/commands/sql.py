"""The queue in the log's database, SQLite or PostgreSQL.

Every transaction that decides about commands holds their streams (:mod:`eatool.commands.held`).
Claims skip streams that somebody holds. Skipping *commands* would let two workers have two of one
stream; a stream has only one row to skip.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Engine, select

from eatool.commands import rows, statements, transitions
from eatool.commands.held import HeldStreams
from eatool.commands.ordering import can_be_released, can_be_woken, new_work
from eatool.commands.port import (
    UNSTARTED,
    Command,
    CommandState,
    Enqueued,
    Figures,
    Known,
    Leased,
    Queued,
    StoredCommand,
)
from eatool.commands.results import Result
from eatool.commands.sql_reading import CommandReader
from eatool.commands.tables import command
from eatool.store.clock import Clock
from eatool.store.halving import by_halves
from eatool.store.listeners import Listeners
from eatool.store.port import StoreError
from eatool.store.sql.database import Database

#: What becomes of a running command at a time.
_Ending = Callable[[StoredCommand, datetime], StoredCommand]
#: What becomes of a command, given its stream's highest sequence and the time; none: it stays.
_Decision = Callable[[StoredCommand, int, datetime], StoredCommand | None]


class SqlCommandQueue:
    """See :class:`~eatool.commands.port.CommandQueue`; thread-safe.

    ``engine`` comes from :func:`~eatool.store.sql.engine.open_engine`. Times are the database
    server's on PostgreSQL, so the clocks of worker hosts do not matter.
    """

    def __init__(self, engine: Engine, *, clock: Clock | None = None) -> None:
        self._database = Database(engine, clock=clock)
        self._listeners = Listeners()
        self._reader = CommandReader(self._database)

    def enqueue(self, command_: Command) -> Queued | Known:
        """See the port."""
        (answer,) = self.enqueue_batch([command_])
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def enqueue_batch(self, commands: Sequence[Command]) -> list[Enqueued]:
        """See the port."""
        answers = by_halves(self._enqueue, commands)
        if work := new_work(answers):
            self._listeners.wake(work)
        return answers

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
                if not statements.prolong(connection, each, now, until)
            ]

    def finish(self, leased: Leased, result: Result, *, again_after: float = 60.0) -> bool:
        """See the port."""
        (told,) = self.finish_batch([(leased, result)], again_after=again_after)
        if isinstance(told, StoreError):
            raise told
        return told

    def finish_batch(
        self, done: Sequence[tuple[Leased, Result]], *, again_after: float = 60.0
    ) -> list[bool | StoreError]:
        """See the port."""
        if not done:
            return []

        def ending(result: Result) -> _Ending:
            return lambda stored, now: transitions.finished(stored, result, now, again_after)

        return by_halves(self._put_down, [(leased, ending(result)) for leased, result in done])

    def retry(self, leased: Leased, after: float, why: str, *, counted: bool = True) -> bool:
        """See the port."""
        attempts, pause = leased.attempts - (not counted), timedelta(seconds=after)
        (told,) = self._put_down(
            [(leased, lambda stored, now: transitions.faulted(stored, attempts, now + pause, why))]
        )
        return told

    def bury(self, leased: Leased, why: str) -> bool:
        """See the port."""
        (told,) = self._put_down([(leased, lambda stored, _now: transitions.buried(stored, why))])
        return told

    def wake(self, stream_ids: Collection[str]) -> int:
        """See the port."""
        if not stream_ids:
            return 0
        with self._database.write() as connection:
            streams = HeldStreams(connection, stream_ids)
            streams.load(last=True)
            now = self._database.now(connection)
            concerned = [
                each
                for stream in streams.each()
                for each in stream
                if can_be_woken(each, transitions.newest(stream))
            ]
            streams.put(*(transitions.woken(each, now) for each in concerned))
            streams.write()
        if concerned:
            self._listeners.wake(concerned[-1].sequence)
        return len(concerned)

    def release(self, command_id: UUID) -> bool:
        """See the port."""
        return self._decide(command_id, _released)

    def discard(self, command_id: UUID) -> bool:
        """See the port."""
        return self._decide(command_id, _discarded)

    def get(self, command_id: UUID) -> StoredCommand | None:
        """See the port."""
        return self._reader.get(command_id)

    def states(self, command_ids: Collection[UUID]) -> dict[UUID, CommandState]:
        """See the port."""
        return self._reader.states(command_ids)

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
                .with_for_update(skip_locked=True)
            )
            return connection.execute(
                command.delete().where(command.c.sequence.in_(old), ~statements.PENDING_HERE)
            ).rowcount

    def on_enqueue(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """See the port."""
        return self._listeners.add(wake)

    # -- transactions ------------------------------------------------------------------------

    def _enqueue(self, commands: Sequence[Command]) -> list[Queued | Known]:
        wanted: dict[UUID, Command] = {}
        for each in commands:
            rows.written(each)  # what cannot be stored is refused before anything is locked
            wanted.setdefault(each.id, each)
        # A restart asks for everything again: most ids are known, and reading takes no lock.
        stored = self._reader.known(wanted)
        added: set[UUID] = set()
        if len(stored) < len(wanted):
            with self._database.write() as connection:
                new = [each for each in wanted.values() if each.id not in stored]
                streams = HeldStreams(connection, [each.stream_id for each in new])
                streams.load(ranked=True, ids=wanted)
                stored |= streams.known(wanted)
                new = [each for each in new if each.id not in stored]
                if new:
                    streams.add(new, self._database.now(connection))
                    streams.write()
                added = {each.id for each in new}
                stored |= streams.known(added)
        answers: list[Queued | Known] = []
        for each in commands:
            answers.append((Queued if each.id in added else Known)(stored[each.id]))
            added.discard(each.id)
        return answers

    def _put_down(self, told: Sequence[tuple[Leased, _Ending]]) -> list[bool]:
        """Say what became of commands, and free their streams; not of those whose lease is lost."""
        with self._database.write() as connection:
            streams = HeldStreams(connection, [each.command.stream_id for each, _ in told])
            streams.load()
            now = self._database.now(connection)
            held = [streams.free(leased, now) for leased, _ in told]
            for (leased, ending), is_held in zip(told, held, strict=True):
                if is_held:
                    streams.put(ending(streams.known([leased.command.id])[leased.command.id], now))
            streams.write()
        return held

    def _decide(self, command_id: UUID, decide: _Decision) -> bool:
        """Change one command as a person wishes; False when the rules are against it."""
        known = self._reader.get(command_id)
        if known is None:
            return False
        with self._database.write() as connection:
            streams = HeldStreams(connection, [known.command.stream_id])
            streams.load(last=True, ids=[command_id])
            stored = streams.known([command_id]).get(command_id)
            if stored is None:
                return False
            last = transitions.newest(streams.of(known.command.stream_id))
            changed = decide(stored, last, self._database.now(connection))
            if changed is None:
                return False
            streams.put(changed)
            streams.write()
        self._listeners.wake(known.sequence)
        return True


def _released(stored: StoredCommand, newest: int, now: datetime) -> StoredCommand | None:
    return transitions.requeued(stored, now) if can_be_released(stored, newest) else None


def _discarded(stored: StoredCommand, _newest: int, now: datetime) -> StoredCommand | None:
    return transitions.discarded(stored, now) if stored.state in UNSTARTED else None
