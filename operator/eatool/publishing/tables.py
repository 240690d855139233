"""Tables of the relay, beside the log in its database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, SmallInteger, String, Table, Text

from eatool.store.sql.schema import UtcDateTime, metadata

#: How far each destination has got, by partition, and who may move it.
relay_cursor = Table(
    "relay_cursor",
    metadata,
    Column("destination", String(100), primary_key=True),
    Column("partition", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text),
    Column("lease_until", UtcDateTime),
    # The default is for processes of the release before, which do not know the column.
    Column("sent", BigInteger, nullable=False, server_default="0"),
    # Room for heap-only updates: rows change with every flush.
    postgresql_with={"fillfactor": "25"},
)

#: Relay processes that are alive; what fair shares are counted from.
relay_member = Table(
    "relay_member",
    metadata,
    Column("destination", String(100), primary_key=True),
    Column("owner", Text, primary_key=True),
    Column("lease_until", UtcDateTime, nullable=False),
)

#: Streams a destination passes over, from their first unpublished event on.
parked_stream = Table(
    "parked_stream",
    metadata,
    Column("destination", String(100), primary_key=True),
    Column("stream_id", Text, primary_key=True),
    Column("partition", SmallInteger, nullable=False),
    Column("first_position", BigInteger, nullable=False),
    Column("first_version", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("parked_at", UtcDateTime, nullable=False),
    Column("resend_requested", Boolean, nullable=False),
)
