"""Statements about streams and their commands, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select, update

from eatool.commands import rows
from eatool.commands.port import PENDING, CommandState, Leased, Operation
from eatool.commands.tables import command, command_stream
from eatool.store.sql.database import inserting

STREAM = command_stream.c
#: The command has a place in its stream's queue.
PENDING_HERE = command.c.state.in_(sorted(PENDING))


def lock(connection: Connection, stream_ids: Collection[str]) -> Sequence[Row[Any]]:
    """Hold the streams' rows, making those that are missing; as they are once they are held."""
    # The update changes nothing; it locks the row in the same round trip. Everybody locks in
    # the order of ids, so that nobody waits in a circle.
    row = inserting(connection.dialect.name, command_stream)
    locking = row.on_conflict_do_update(
        index_elements=[STREAM.stream_id], set_={"epoch": STREAM.epoch}
    ).returning(*STREAM)
    ordered = [{"stream_id": each, "epoch": 0} for each in sorted(set(stream_ids))]
    return connection.execute(locking, ordered).all()


def highest(where: ColumnElement[bool]) -> Select[int]:
    """Sequences of the commands that may overtake others, one of each incarnation.

    See :func:`~eatool.commands.ordering.rank`.
    """
    by_rank = ((command.c.operation == Operation.DELETE).desc(), command.c.generation.desc())
    place = func.row_number().over(
        partition_by=(command.c.stream_id, command.c.uid), order_by=by_rank
    )
    ranked = (
        select(command.c.sequence, place.label("place"))
        .where(where, command.c.generation.is_not(None))
        .subquery()
    )
    return select(ranked.c.sequence).where(ranked.c.place == 1)


def prolong(connection: Connection, leased: Leased, now: datetime, until: datetime) -> bool:
    """Move the end of the lease, if it still is ``leased``'s."""
    changed = connection.execute(
        update(command_stream)
        .where(
            STREAM.stream_id == leased.command.stream_id,
            STREAM.owner == leased.worker,
            STREAM.epoch == leased.epoch,
            STREAM.claimable_at > now,
        )
        .values(claimable_at=until)
    )
    return changed.rowcount == 1


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
