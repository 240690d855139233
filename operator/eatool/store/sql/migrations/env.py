"""Alembic's environment: runs on the connection that :mod:`eatool.store.sql.migrate` gives."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

import eatool.store.sql.tables  # registers the log's tables
from eatool.store.sql.schema import metadata


def run(connection: Connection) -> None:
    """Migrate in the caller's transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
