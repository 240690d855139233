"""Count with each cursor what was acknowledged.

Revision ID: relay_0002
Revises: relay_0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "relay_0002"
down_revision = "relay_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Counting begins now: what was sent before is not known."""
    op.add_column(
        "relay_cursor", sa.Column("sent", sa.BigInteger(), nullable=False, server_default="0")
    )


def downgrade() -> None:
    """Forget the counts; cursors stay where they are."""
    op.drop_column("relay_cursor", "sent")
