"""Statements about one stream's commands, in the caller's transaction.

Unless said otherwise the caller holds the stream's row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy
from sqlalchemy import Connection, func, select, update

from eatool.commands import rows
from eatool.commands.ordering import next_due
from eatool.commands.port import PENDING, Command, CommandState, Leased, Operation, StoredCommand
from eatool.commands.tables import command, command_stream

STREAM = command_stream.c
#: The command has a place in its stream's queue.
PENDING_HERE = command.c.state.in_(sorted(PENDING))


def hold(connection: Connection, leased: Leased, now: datetime, **values: Any) -> bool:
    """Change the stream's row, if the lease still is ``leased``'s."""
    changed = connection.execute(
        update(command_stream)
        .where(
            STREAM.stream_id == leased.command.stream_id,
            STREAM.owner == leased.worker,
            STREAM.epoch == leased.epoch,
            STREAM.claimable_at > now,
        )
        .values(values)
    )
    return changed.rowcount == 1


def let_go(connection: Connection, leased: Leased, now: datetime, values: dict[str, Any]) -> bool:
    """Say what became of the command, and free its stream."""
    if not hold(connection, leased, now, owner=None):
        return False
    put_down(connection, leased, values)
    return True


def put_down(connection: Connection, leased: Leased, values: dict[str, Any]) -> None:
    """Say what became of a command whose stream is held, and is nobody's from here on."""
    change(connection, leased.command.id, values)
    settle(connection, leased.command.stream_id)


def is_woken(connection: Connection, leased: Leased) -> bool:
    """Whether something arrived while it was running: only then a running command is due."""
    due = select(command.c.due_at).where(command.c.id == leased.command.id)
    return connection.scalars(due).one() is not None


def change(connection: Connection, command_id: UUID, values: dict[str, Any]) -> None:
    """Set columns of one command."""
    connection.execute(update(command).where(command.c.id == command_id).values(values))


def settle(
    connection: Connection, stream_id: str, commands: Sequence[StoredCommand] | None = None
) -> None:
    """Write down when the stream has work, unless a worker holds it: then the lease decides.

    ``commands`` are those pending now, if the caller knows them.
    """
    due = next_due(pending(connection, stream_id) if commands is None else commands)
    connection.execute(
        update(command_stream)
        .where(STREAM.stream_id == stream_id, STREAM.owner.is_(None))
        .values(claimable_at=due)
    )


def insert(connection: Connection, values: dict[str, Any]) -> StoredCommand:
    """Add a command."""
    added = connection.execute(sqlalchemy.insert(command).values(values).returning(*command.c))
    return rows.read(added.mappings().one())


def supersede(
    connection: Connection, older: Sequence[StoredCommand], newer: UUID, now: datetime
) -> None:
    """End commands whose place ``newer`` takes."""
    if older:
        connection.execute(
            update(command)
            .where(command.c.sequence.in_([each.sequence for each in older]))
            .values(
                state=CommandState.SUPERSEDED, due_at=None, finished_at=now, superseded_by=newer
            )
        )


def overtaken_by(connection: Connection, new: Command) -> UUID | None:
    """Id of the newest command that :func:`~eatool.commands.ordering.overtakes` ``new``."""
    if new.generation is None or new.operation is Operation.DELETE:
        return None
    deletes = command.c.operation == Operation.DELETE
    return connection.scalars(
        select(command.c.id)
        .where(
            command.c.stream_id == new.stream_id,
            command.c.uid == new.uid,
            command.c.generation.is_not(None),
            deletes | (command.c.generation > new.generation),
        )
        .order_by(deletes.desc(), command.c.generation.desc())
        .limit(1)
    ).first()


def newest(connection: Connection, stream_id: str) -> int:
    """The highest sequence of a stream; 0 when it has no commands."""
    highest = select(func.max(command.c.sequence)).where(command.c.stream_id == stream_id)
    return connection.scalars(highest).one() or 0


def pending(connection: Connection, stream_id: str) -> list[StoredCommand]:
    """Commands that have a place in the stream's queue, in order."""
    return read(connection, command.c.stream_id == stream_id, PENDING_HERE)


def get(connection: Connection, command_id: UUID) -> StoredCommand | None:
    """One command, as this transaction sees it."""
    return next(iter(read(connection, command.c.id == command_id)), None)


def read(connection: Connection, *where: Any) -> list[StoredCommand]:
    """Commands that meet all conditions, in order of arrival."""
    query = select(command).where(*where).order_by(command.c.sequence)
    return [rows.read(row) for row in connection.execute(query).mappings()]


def start(
    connection: Connection,
    epochs: dict[str, int],
    worker: str,
    now: datetime,
    lease: float,
) -> list[Leased]:
    """Start the first command of each stream; ``epochs`` are their next ones."""
    first = (
        select(func.min(command.c.sequence))
        .where(command.c.stream_id.in_(epochs), PENDING_HERE)
        .group_by(command.c.stream_id)
    )
    started = connection.execute(
        update(command)
        .where(command.c.sequence.in_(first))
        .values(
            state=CommandState.RUNNING,
            due_at=None,
            attempts=command.c.attempts + 1,
            started_at=now,
        )
        .returning(*command.c)
    )
    heads = [rows.read(row) for row in started.mappings()]
    connection.execute(
        update(command_stream)
        .where(STREAM.stream_id.in_(epochs))
        .values(
            owner=worker,
            epoch=STREAM.epoch + 1,
            claimable_at=now + timedelta(seconds=lease),
        )
    )
    return [
        Leased(wanted, worker, epochs[wanted.stream_id], each.attempts, each.enqueued_at)
        for each in sorted(heads, key=lambda each: each.sequence)
        for wanted in (each.command,)
    ]
