"""Create the lease of the replica that decides on rollouts.

Revision ID: rollout_0002
Revises: rollout_0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "rollout_0002"
down_revision = "rollout_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One row."""
    op.create_table(
        "rollout_lease",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Nobody decides."""
    op.drop_table("rollout_lease")
