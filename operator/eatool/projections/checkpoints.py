"""Which kinds are projected behind the log, how far, and by which process.

A kind that has a checkpoint is followed, any other is not: the row is the decision. It is written
in the transaction that makes the decision, so no process can act on an older one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import BigInteger, Column, Connection, String, Table, Text, delete, insert, select

from eatool.store.sql.schema import UtcDateTime, metadata

#: Everything of the kind up to ``position`` is in the tables of the projection.
projection_checkpoint = Table(
    "projection_checkpoint",
    metadata,
    Column("projection", String(100), primary_key=True),
    Column("aggregate_type", String(100), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

#: The process that moves the checkpoints of a projection.
projection_lease = Table(
    "projection_lease",
    metadata,
    Column("projection", String(100), primary_key=True),
    Column("owner", Text),
    Column("lease_until", UtcDateTime),
)


def begin(
    connection: Connection, projection: str, aggregate_types: Iterable[str], position: int
) -> None:
    """Follow these kinds from behind ``position`` on; kinds that are followed stay where they are.

    ``position`` may be too low, never too high: applying an event again changes nothing. The
    caller keeps others from beginning at the same time (the log's lock does).
    """
    known = positions(connection, projection)
    new = [
        {"projection": projection, "aggregate_type": each, "position": position}
        for each in sorted(set(aggregate_types) - known.keys())
    ]
    if new:
        connection.execute(insert(projection_checkpoint), new)
    leases = select(projection_lease.c.projection).where(
        projection_lease.c.projection == projection
    )
    if connection.execute(leases).first() is None:
        connection.execute(insert(projection_lease).values(projection=projection))


def end(connection: Connection, projection: str, aggregate_types: Iterable[str]) -> None:
    """Follow these kinds no longer.

    What they are behind the log is lost to the projection: let them catch up first, with nobody
    appending.
    """
    connection.execute(
        delete(projection_checkpoint).where(
            projection_checkpoint.c.projection == projection,
            projection_checkpoint.c.aggregate_type.in_(list(aggregate_types)),
        )
    )


def positions(connection: Connection, projection: str) -> dict[str, int]:
    """Checkpoint of each kind that is followed."""
    rows = connection.execute(
        select(projection_checkpoint.c.aggregate_type, projection_checkpoint.c.position).where(
            projection_checkpoint.c.projection == projection
        )
    )
    return {row.aggregate_type: row.position for row in rows}


def holder(connection: Connection, projection: str) -> tuple[str | None, datetime | None]:
    """Who moves the checkpoints, until when; ``None`` for nobody."""
    row = connection.execute(
        select(projection_lease.c.owner, projection_lease.c.lease_until).where(
            projection_lease.c.projection == projection
        )
    ).one_or_none()
    return (None, None) if row is None else (row.owner, row.lease_until)
