"""Create fences, and where the rollout of each kind stands.

Revision ID: rollout_0001
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "rollout_0001"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Four small tables; only the replicas' signs of life are written again and again."""
    op.create_table(
        "fence",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollout",
        sa.Column("aggregate_type", sa.Text(), primary_key=True),
        sa.Column("phase", sa.String(20), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("announced", sa.BigInteger(), nullable=False),
        sa.Column("preparing", sa.String(20)),
        sa.Column("prepared_at", _TIME),
        sa.Column("cause", sa.Text()),
    )
    op.create_table(
        "rollout_replica",
        sa.Column("replica", sa.String(255), primary_key=True),
        sa.Column("aggregate_type", sa.Text(), primary_key=True),
        sa.Column("acked_epoch", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        postgresql_with={"fillfactor": "25"},
    )
    op.create_table(
        "rollout_history",
        sa.Column("aggregate_type", sa.Text(), primary_key=True),
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("result", sa.String(20), nullable=False),
        sa.Column("source", sa.String(20)),
        sa.Column("target", sa.String(20), nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("finished_at", _TIME, nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger()),
    )


def downgrade() -> None:
    """Forget all rollouts: the log is authoritative for every kind."""
    for table in ("rollout_history", "rollout_replica", "rollout", "fence"):
        op.drop_table(table)
