"""Create what parity checks between legacy tables and read tables remember.

Revision ID: parity_0001
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "parity_0001"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """One row per entity that was not in parity; one per kind for the sweep."""
    op.create_table(
        "parity_finding",
        sa.Column("aggregate_type", sa.Text(), primary_key=True),
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text()),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("legacy_version", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", _TIME, nullable=False),
        sa.Column("last_seen", _TIME, nullable=False),
        sa.Column("confirmed_at", _TIME),
        sa.Column("resolved_at", _TIME),
    )
    op.create_table(
        "parity_sweep",
        sa.Column("aggregate_type", sa.Text(), primary_key=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.Text()),
        sa.Column("compared", sa.BigInteger(), nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("swept_from", _TIME),
        sa.Column("swept_at", _TIME),
        sa.Column("swept", sa.BigInteger()),
    )


def downgrade() -> None:
    """Forget the findings; the next sweep makes them anew."""
    op.drop_table("parity_sweep")
    op.drop_table("parity_finding")
