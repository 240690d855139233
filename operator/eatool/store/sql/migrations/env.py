"""Alembic's environment: runs on the connection that :mod:`eatool.store.sql.migrate` gives."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from eatool.store.sql.tables import event


def run(connection: Connection) -> None:
    """Migrate in the caller's transaction."""
    context.configure(
        connection=connection,
        target_metadata=event.metadata,
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
