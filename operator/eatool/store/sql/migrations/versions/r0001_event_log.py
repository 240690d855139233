"""Create the event log.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_JSON = sa.Text().with_variant(postgresql.JSON(), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Tables, indexes, the head row, and triggers that keep ``event`` append-only."""
    _log()
    _event()
    _derived()
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _log() -> None:
    log = op.create_table(
        "log",
        sa.Column("id", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("recorded_at", _TIME),
        sa.CheckConstraint("id = 1", name=op.f("ck_log_one_row")),
        postgresql_with={"fillfactor": "10"},
    )
    op.bulk_insert(log, [{"id": 1, "position": 0, "hash": bytes(32), "recorded_at": None}])


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("position", _ROW_ID, primary_key=True, autoincrement=False),
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(100), nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("metadata", _JSON, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("correlation_id", sa.Uuid()),
        sa.Column("causation_id", sa.Uuid()),
        sa.Column("recorded_at", _TIME, nullable=False),
        sa.Column("partition", sa.SmallInteger(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.UniqueConstraint("stream_id", "version", name=op.f("uq_event_stream_id_version")),
        sa.UniqueConstraint("event_id", name=op.f("uq_event_event_id")),
    )
    op.create_index(op.f("ix_event_correlation_id"), "event", ["correlation_id"])


def _derived() -> None:
    op.create_table(
        "stream",
        sa.Column("stream_id", sa.Text(), primary_key=True),
        sa.Column("alive", sa.Boolean(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "unique_key",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_unique_key_holder"), "unique_key", ["holder"])
    op.create_table(
        "reference",
        sa.Column("source", sa.Text(), primary_key=True),
        sa.Column("field", sa.Text(), primary_key=True),
        sa.Column("target", sa.Text(), primary_key=True),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_reference_target"), "reference", ["target"])


def _guard_sqlite() -> None:
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER event_no_{change.lower()} BEFORE {change} ON event "
            "BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END"
        )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION event_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the event log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event "
        "FOR EACH STATEMENT EXECUTE FUNCTION event_append_only()"
    )


def downgrade() -> None:
    """Recorded history is not dropped by a migration."""
    raise NotImplementedError("the event log has no way back; restore a backup instead")
