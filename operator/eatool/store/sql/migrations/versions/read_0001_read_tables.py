"""Create the read tables of the nine kinds.

Revision ID: read_0001
Revises: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "read_0001"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT, _BIG, _BOOL, _DOUBLE, _DATE = sa.Text, sa.BigInteger, sa.Boolean, sa.Double, sa.Date
_TIME = sa.DateTime(timezone=True)
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

#: Columns of the specs as they were at this revision, by table (without the prefix).
_TABLES: dict[str, dict[str, Any]] = {
    "application_interfaces": {
        "name": _TEXT,
        "protocol": _TEXT,
        "endpoint": _TEXT,
        "specification_url": _TEXT,
        "spec_version": _TEXT,
        "authentication_method": _TEXT,
        "exposed_by_app_id": _TEXT,
        "serves_service_ids": _JSON,
        "rate_limits": _JSON,
        "status": _TEXT,
        "tags": _JSON,
    },
    "application_services": {
        "name": _TEXT,
        "description": _TEXT,
        "business_capability_id": _TEXT,
        "sla": _TEXT,
        "exposed_by_app_ids": _JSON,
        "consumers": _JSON,
        "tags": _JSON,
    },
    "applications": {
        "name": _TEXT,
        "description": _TEXT,
        "owner": _TEXT,
        "lifecycle": _TEXT,
        "sunset_date": _DATE,
        "capability_id": _TEXT,
        "data_classification": _TEXT,
        "criticality": _TEXT,
        "tags": _JSON,
    },
    "business_capabilities": {
        "name": _TEXT,
        "parent_id": _TEXT,
        "description": _TEXT,
    },
    "data_entities": {
        "name": _TEXT,
        "domain": _TEXT,
        "classification": _TEXT,
        "retention": _TEXT,
        "owner": _TEXT,
        "steward": _TEXT,
        "source_system": _TEXT,
        "criticality": _TEXT,
        "pii_flag": _BOOL,
        "glossary_terms": _JSON,
        "lineage": _JSON,
    },
    "integrations": {
        "source_app_id": _TEXT,
        "target_app_id": _TEXT,
        "protocol": _TEXT,
        "data_contract": _TEXT,
        "sla": _TEXT,
        "frequency": _TEXT,
        "tags": _JSON,
    },
    "organizations": {
        "name": _TEXT,
        "parent_id": _TEXT,
        "domains": _JSON,
        "contacts": _JSON,
    },
    "relations": {
        "source_type": _TEXT,
        "source_id": _TEXT,
        "target_type": _TEXT,
        "target_id": _TEXT,
        "relation_type": _TEXT,
        "archimate_element": _TEXT,
        "archimate_relationship": _TEXT,
        "description": _TEXT,
        "data_classification": _TEXT,
        "criticality": _TEXT,
        "confidence": _DOUBLE,
        "evidence_source": _TEXT,
        "last_verified_at": _TIME,
        "effective_from": _TIME,
        "effective_to": _TIME,
        "label": _TEXT,
        "color": _TEXT,
        "style": _TEXT,
        "bidirectional": _BOOL,
    },
    "servers": {
        "hostname": _TEXT,
        "environment": _TEXT,
        "region": _TEXT,
        "platform": _TEXT,
        "criticality": _TEXT,
        "owning_team": _TEXT,
        "tags": _JSON,
    },
}


def upgrade() -> None:
    """One table a kind: the fixed columns, then those of its spec."""
    for name, columns in _TABLES.items():
        op.create_table(
            f"read_{name}",
            sa.Column("namespace", _TEXT, primary_key=True),
            sa.Column("id", _TEXT, primary_key=True),
            sa.Column("uid", _TEXT, nullable=False),
            sa.Column("version", _BIG, nullable=False),
            sa.Column("created_at", _TIME),
            sa.Column("updated_at", _TIME, nullable=False),
            sa.Column("deleted_at", _TIME),
            sa.Column("position", _BIG, nullable=False),
            sa.Column("event_id", sa.Uuid(), nullable=False),
            sa.Column("generation", _BIG, nullable=False),
            *(sa.Column(column, sql_type) for column, sql_type in columns.items()),
        )


def downgrade() -> None:
    """Forget the read models; they are rebuilt from the log."""
    for name in reversed(_TABLES):
        op.drop_table(f"read_{name}")
