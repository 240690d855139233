"""Looking at the queue without a lock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, select

from eatool.commands import rows
from eatool.commands.ordering import quantile_ranks
from eatool.commands.port import PENDING, CommandState, Figures, StoredCommand
from eatool.commands.tables import command
from eatool.store.sql.database import Database


class CommandReader:
    """The read side of :class:`~eatool.commands.sql.SqlCommandQueue`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, command_id: UUID) -> StoredCommand | None:
        """One command."""
        query = select(command).where(command.c.id == command_id)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else rows.read(row)

    def known(self, command_ids: Collection[UUID]) -> dict[UUID, StoredCommand]:
        """Of those ids that were enqueued."""
        with self._database.read() as connection:
            found = connection.execute(select(command).where(command.c.id.in_(command_ids)))
            return {row["id"]: rows.read(row) for row in found.mappings()}

    def states(self, command_ids: Collection[UUID]) -> dict[UUID, CommandState]:
        """The same, and nothing else of them."""
        query = select(command.c.id, command.c.state).where(command.c.id.in_(command_ids))
        with self._database.read() as connection:
            return {row.id: CommandState(row.state) for row in connection.execute(query)}

    def find(
        self,
        states: Collection[CommandState] | None,
        stream_id: str | None,
        aggregate_type: str | None,
        limit: int,
    ) -> list[StoredCommand]:
        """The newest that match, oldest first."""
        query = select(command).order_by(command.c.sequence.desc()).limit(limit)
        if states is not None:
            query = query.where(command.c.state.in_(sorted(states)))
        if stream_id is not None:
            query = query.where(command.c.stream_id == stream_id)
        query = query.where(*_of_kind(aggregate_type))
        with self._database.read() as connection:
            found = connection.execute(query).mappings().all()
        return [rows.read(row) for row in reversed(found)]

    def figures(
        self, aggregate_type: str | None, window: float, quantiles: Sequence[float]
    ) -> Figures:
        """Counts of what is pending; latencies of what ended within the window."""
        kind = _of_kind(aggregate_type)
        with self._database.read() as connection:
            now = self._database.now(connection)
            pending = connection.execute(
                select(command.c.state, func.count(), func.min(command.c.enqueued_at))
                .where(command.c.state.in_(sorted(PENDING)), *kind)
                .group_by(command.c.state)
            ).all()
            ended = (
                command.c.state == CommandState.FINISHED,
                command.c.finished_at > now - timedelta(seconds=window),
                *kind,
            )
            finished = connection.scalars(select(func.count()).where(*ended)).one()
            latencies = _latencies(connection, ended, quantile_ranks(finished, quantiles))
        counts: dict[str, int] = {state: count for state, count, _ in pending}
        moving = {CommandState.QUEUED, CommandState.RUNNING}
        since = min((oldest for state, _, oldest in pending if state in moving), default=now)
        return Figures(
            queued=counts.get(CommandState.QUEUED, 0),
            running=counts.get(CommandState.RUNNING, 0),
            waiting=counts.get(CommandState.WAITING, 0),
            dead=counts.get(CommandState.DEAD, 0),
            oldest=max(0.0, (now - since).total_seconds()),
            finished=finished,
            latencies=latencies,
        )


def _latencies(
    connection: Connection, ended: Sequence[ColumnElement[bool]], ranks: dict[float, int]
) -> dict[float, float]:
    found: dict[float, float] = {}
    for quantile, rank in ranks.items():
        at = select(command.c.latency).where(*ended).order_by(command.c.latency)
        value = connection.scalars(at.offset(rank).limit(1)).first()
        if value is not None:
            found[quantile] = value
    return found


def _of_kind(aggregate_type: str | None) -> tuple[Any, ...]:
    return () if aggregate_type is None else (command.c.aggregate_type == aggregate_type,)
