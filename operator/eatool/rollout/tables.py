"""Tables of the ledger, beside the log in its database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, String, Table, Text

from eatool.store.sql.schema import UtcDateTime, metadata

#: Where each kind stands. ``announced`` is the newest epoch that replicas were told of;
#: ``preparing``, ``prepared_at`` and ``cause`` (JSON) are set while it waits for them.
rollout = Table(
    "rollout",
    metadata,
    Column("aggregate_type", Text, primary_key=True),
    Column("phase", String(20), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("announced", BigInteger, nullable=False),
    Column("preparing", String(20)),
    Column("prepared_at", UtcDateTime),
    Column("cause", Text),
)

#: Processes that write, the newest epoch that each is ready for, and their signs of life.
rollout_replica = Table(
    "rollout_replica",
    metadata,
    Column("replica", String(255), primary_key=True),
    Column("aggregate_type", Text, primary_key=True),
    Column("acked_epoch", BigInteger, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    # Room for heap-only updates: rows change every second.
    postgresql_with={"fillfactor": "25"},
)

#: The newest transitions of each kind; the log has all that were committed.
rollout_history = Table(
    "rollout_history",
    metadata,
    Column("aggregate_type", Text, primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("result", String(20), nullable=False),
    Column("source", String(20)),
    Column("target", String(20), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime, nullable=False),
    Column("cause", Text, nullable=False),
    Column("position", BigInteger),
)

#: What processes have observed, a row for each minute of each of them. ``buckets`` is JSON:
#: observations by the power of the precision of quantiles.
rollout_sample = Table(
    "rollout_sample",
    metadata,
    Column("metric", String(40), primary_key=True),
    Column("aggregate_type", Text, primary_key=True),
    Column("start", UtcDateTime, primary_key=True),
    Column("process", String(32), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("total", Float, nullable=False),
    Column("highest", Float, nullable=False),
    Column("buckets", Text, nullable=False),
)
