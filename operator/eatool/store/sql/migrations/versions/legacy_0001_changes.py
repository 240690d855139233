"""Create the dirty keys of an adopted registry, and what is known of its imported rows.

The registry's own tables are not ours to migrate: `eatool legacy adopt` asks for them by name.

Revision ID: legacy_0001
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "legacy_0001"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """One table that triggers write, one that the import writes."""
    op.create_table(
        "legacy_change",
        sa.Column("seq", _SEQ, primary_key=True),
        sa.Column("aggregate_type", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        # Numbers are never given again, as PostgreSQL's sequence does it.
        sqlite_autoincrement=True,
    )
    op.create_table(
        "legacy_import",
        sa.Column("namespace", sa.Text(), primary_key=True),
        sa.Column("aggregate_type", sa.Text(), primary_key=True),
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("fingerprint", sa.BigInteger()),
        sa.Column("refused", sa.Boolean(), nullable=False),
        sa.Column("imported_at", _TIME, nullable=False),
    )


def downgrade() -> None:
    """Forget both; the triggers that write the first one have to be released before."""
    op.drop_table("legacy_import")
    op.drop_table("legacy_change")
