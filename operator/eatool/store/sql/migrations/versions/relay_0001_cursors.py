"""Create the relay's cursors, members and parked streams.

Revision ID: relay_0001
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "relay_0001"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Three small tables; all but the parked streams are written again and again."""
    op.create_table(
        "relay_cursor",
        sa.Column("destination", sa.String(100), primary_key=True),
        sa.Column("partition", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("lease_until", _TIME),
        postgresql_with={"fillfactor": "25"},
    )
    op.create_table(
        "relay_member",
        sa.Column("destination", sa.String(100), primary_key=True),
        sa.Column("owner", sa.Text(), primary_key=True),
        sa.Column("lease_until", _TIME, nullable=False),
    )
    op.create_table(
        "parked_stream",
        sa.Column("destination", sa.String(100), primary_key=True),
        sa.Column("stream_id", sa.Text(), primary_key=True),
        sa.Column("partition", sa.SmallInteger(), nullable=False),
        sa.Column("first_position", sa.BigInteger(), nullable=False),
        sa.Column("first_version", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("parked_at", _TIME, nullable=False),
        sa.Column("resend_requested", sa.Boolean(), nullable=False),
    )


def downgrade() -> None:
    """Forget how far destinations have got: they start anew."""
    for table in ("parked_stream", "relay_member", "relay_cursor"):
        op.drop_table(table)
