"""Tables of the event log.

``event`` is append-only. The others are what an append must know about the past without
reading it: they are derived from the log and written in the same transaction.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from eatool.store.sql.schema import ExactJson, UtcDateTime, metadata

#: One row: the end of the log. Its lock makes position order commit order.
log = Table(
    "log",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("recorded_at", UtcDateTime),
    CheckConstraint("id = 1", name="one_row"),
    # Room for heap-only updates: the row changes with every commit.
    postgresql_with={"fillfactor": "10"},
)

event = Table(
    "event",
    metadata,
    Column(
        "position",
        # SQLite makes only an INTEGER primary key the row id itself.
        BigInteger().with_variant(Integer(), "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("stream_id", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("type", String(100), nullable=False),
    Column("data", ExactJson, nullable=False),
    Column("metadata", ExactJson, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("correlation_id", Uuid),
    Column("causation_id", Uuid),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("partition", SmallInteger, nullable=False),
    Column("previous_hash", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    UniqueConstraint("stream_id", "version"),
    UniqueConstraint("event_id"),
)
Index(None, event.c.correlation_id)

#: All streams; ``alive`` is false after a deletion. Written only when that changes: the version
#: of a stream is the newest in ``event``.
stream = Table(
    "stream",
    metadata,
    Column("stream_id", Text, primary_key=True),
    Column("alive", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

#: Reservations of unique keys. ``live`` is false after release: who held it last stays known.
unique_key = Table(
    "unique_key",
    metadata,
    Column("key", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("live", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
Index(None, unique_key.c.holder)

#: Epochs that appends are decided under; moved by appends too. No row = epoch 0.
fence = Table(
    "fence",
    metadata,
    Column("name", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: Outgoing references of live entities, hard and soft.
reference = Table(
    "reference",
    metadata,
    Column("source", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("hard", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
Index(None, reference.c.target)
