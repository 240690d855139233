"""Create what processes observe of kinds under rollout, for whoever decides.

Revision ID: rollout_0003
Revises: rollout_0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "rollout_0003"
down_revision = "rollout_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A row for each minute, metric, kind and process."""
    op.create_table(
        "rollout_sample",
        sa.Column("metric", sa.String(40), primary_key=True),
        sa.Column("aggregate_type", sa.Text(), primary_key=True),
        sa.Column("start", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("process", sa.String(32), primary_key=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Float(), nullable=False),
        sa.Column("highest", sa.Float(), nullable=False),
        sa.Column("buckets", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    """Forget them; criteria hold until there are new ones."""
    op.drop_table("rollout_sample")
