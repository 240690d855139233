"""Create the command queue and the checkpoints of projections that follow the log.

Revision ID: commands_0001
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "commands_0001"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """The queue: commands, and one row a stream that orders them. Then the checkpoints."""
    op.create_table(
        "command",
        sa.Column("sequence", _SEQUENCE, primary_key=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column("aggregate_type", sa.Text(), nullable=False),
        sa.Column("operation", sa.String(16), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger()),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("enqueued_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("finished_at", _TIME),
        sa.Column("latency", sa.Double()),
        sa.Column("result", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("superseded_by", sa.Uuid()),
        sa.UniqueConstraint("id", name="uq_command_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_command_stream_id_sequence", "command", ["stream_id", "sequence"])
    op.create_index("ix_command_state_sequence", "command", ["state", "sequence"])
    op.create_index("ix_command_finished_at", "command", ["finished_at"])
    op.create_table(
        "command_stream",
        sa.Column("stream_id", sa.Text(), primary_key=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("claimable_at", _TIME),
    )
    op.create_index("ix_command_stream_claimable_at", "command_stream", ["claimable_at"])
    op.create_table(
        "projection_checkpoint",
        sa.Column("projection", sa.String(100), primary_key=True),
        sa.Column("aggregate_type", sa.String(100), primary_key=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "projection_lease",
        sa.Column("projection", sa.String(100), primary_key=True),
        sa.Column("owner", sa.Text()),
        sa.Column("lease_until", _TIME),
    )


def downgrade() -> None:
    """Forget commands that were acknowledged and not yet decided: drain the queue before."""
    for table in ("projection_lease", "projection_checkpoint", "command_stream", "command"):
        op.drop_table(table)
