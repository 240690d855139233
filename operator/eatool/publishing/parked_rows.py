"""Rows of parked streams: pieces of the transactions of ``checkpoints_sql.py``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from eatool.publishing.checkpoints import ParkedStream
from eatool.publishing.tables import parked_stream

_COLUMNS = (
    parked_stream.c.stream_id,
    parked_stream.c.partition,
    parked_stream.c.first_position,
    parked_stream.c.first_version,
    parked_stream.c.reason,
    parked_stream.c.attempts,
    parked_stream.c.parked_at,
    parked_stream.c.resend_requested,
)


def write(connection: Connection, destination: str, stream: ParkedStream) -> None:
    """Write or replace one."""
    remove(connection, destination, stream.stream_id)
    connection.execute(insert(parked_stream).values(destination=destination, **asdict(stream)))


def remove(connection: Connection, destination: str, stream_id: str) -> None:
    """Forget one, if it is there."""
    connection.execute(delete(parked_stream).where(_row(destination, stream_id)))


def read(
    connection: Connection, destination: str, partitions: Collection[int] | None
) -> list[ParkedStream]:
    """Oldest first, optionally only of some partitions."""
    query = (
        select(*_COLUMNS)
        .where(parked_stream.c.destination == destination)
        .order_by(parked_stream.c.parked_at, parked_stream.c.stream_id)
    )
    if partitions is not None:
        query = query.where(parked_stream.c.partition.in_(partitions))
    return [ParkedStream(*row) for row in connection.execute(query)]


def request_resend(connection: Connection, destination: str, stream_id: str) -> bool:
    """Mark one; False when it is not there."""
    marked = connection.execute(
        update(parked_stream).where(_row(destination, stream_id)).values(resend_requested=True)
    )
    return marked.rowcount == 1


def _row(destination: str, stream_id: str) -> ColumnElement[bool]:
    return and_(parked_stream.c.destination == destination, parked_stream.c.stream_id == stream_id)
