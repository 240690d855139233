"""Count open and confirmed findings by index: those of the past may be many.

Revision ID: parity_0002
Revises: parity_0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "parity_0002"
down_revision = "parity_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One partial index for each question."""
    unresolved, confirmed = sa.text("resolved_at IS NULL"), sa.text("confirmed_at IS NOT NULL")
    op.create_index(
        "parity_finding_open",
        "parity_finding",
        ["aggregate_type", "verdict"],
        sqlite_where=unresolved,
        postgresql_where=unresolved,
    )
    op.create_index(
        "parity_finding_confirmed",
        "parity_finding",
        ["aggregate_type", "confirmed_at"],
        sqlite_where=confirmed,
        postgresql_where=confirmed,
    )


def downgrade() -> None:
    """Count by reading all."""
    op.drop_index("parity_finding_confirmed", "parity_finding")
    op.drop_index("parity_finding_open", "parity_finding")
