"""Tables of what parity checks remember, beside the log in its database."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from eatool.store.sql.schema import UtcDateTime, metadata

#: One row per entity that is, or once was, not in parity. Never values.
parity_finding = Table(
    "parity_finding",
    metadata,
    Column("aggregate_type", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("verdict", String(20), nullable=False),
    #: JSON list: names of differing fields, or field errors as texts.
    Column("fields", Text, nullable=False),
    Column("rule", Text),
    Column("epoch", BigInteger, nullable=False),
    Column("legacy_version", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("first_seen", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False),
    #: When a second look confirmed it as a mismatch, last.
    Column("confirmed_at", UtcDateTime),
    #: When both sides were seen to agree again.
    Column("resolved_at", UtcDateTime),
)

_OPEN: Final = parity_finding.c.resolved_at.is_(None)
Index(
    "parity_finding_open",
    parity_finding.c.aggregate_type,
    parity_finding.c.verdict,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
_CONFIRMED: Final = parity_finding.c.confirmed_at.is_not(None)
Index(
    "parity_finding_confirmed",
    parity_finding.c.aggregate_type,
    parity_finding.c.confirmed_at,
    sqlite_where=_CONFIRMED,
    postgresql_where=_CONFIRMED,
)

#: How far the full comparison of each kind has come.
parity_sweep = Table(
    "parity_sweep",
    metadata,
    Column("aggregate_type", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    #: The last id of the last chunk compared; null = at the start.
    Column("cursor", Text),
    Column("compared", BigInteger, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    #: The last complete sweep under this epoch: when it began, ended, and what it compared.
    Column("swept_from", UtcDateTime),
    Column("swept_at", UtcDateTime),
    Column("swept", BigInteger),
)
