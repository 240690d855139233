"""Tables of the command queue, beside the log in its database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, String, Table, Text, Uuid

from eatool.store.sql.schema import UtcDateTime, metadata

command = Table(
    "command",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("id", Uuid, nullable=False, unique=True),
    Column("stream_id", Text, nullable=False),
    Column("aggregate_type", Text, nullable=False),
    Column("operation", String(16), nullable=False),
    Column("uid", Text, nullable=False),
    Column("generation", BigInteger),
    Column("payload", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("enqueued_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime),
    Column("attempts", Integer, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    #: Seconds from enqueued to finished, for quantiles.
    Column("latency", Double),
    Column("result", Text),
    Column("error", Text),
    Column("superseded_by", Uuid),
    # A number is never given again, as PostgreSQL's sequence does it.
    sqlite_autoincrement=True,
)
Index(None, command.c.stream_id, command.c.sequence)
Index(None, command.c.state, command.c.sequence)
Index(None, command.c.finished_at)

#: One row a stream: its lock orders everything about its commands, its epoch fences workers.
command_stream = Table(
    "command_stream",
    metadata,
    Column("stream_id", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    #: The worker that holds the stream, until ``claimable_at``.
    Column("owner", Text),
    #: When the next command is due, or the lease ends; null while there is nothing to claim.
    Column("claimable_at", UtcDateTime),
)
Index(None, command_stream.c.claimable_at)
