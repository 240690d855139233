"""Schema migrations, safe to run from several processes at once.

Layers above add their tables to :data:`eatool.store.sql.schema.metadata` and a revision under
``migrations/versions``; several heads are fine.
"""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from eatool.store.port import StoreError
from eatool.store.sql.engine import reading

_log = logging.getLogger(__name__)

#: Key of the PostgreSQL advisory lock that serialises migrations: "eatool" in ASCII.
_LOCK_KEY: Final = int.from_bytes(b"eatool", "big")


class SchemaNewer(StoreError):
    """The database was migrated by a newer release than this one."""


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration; with a connection its environment runs on that."""
    made = Config()
    folder = Path(__file__).parent / "migrations"
    # ConfigParser would take a percent sign in the path for an interpolation.
    made.set_main_option("script_location", str(folder).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest revisions, in one transaction; a no-op when it is there.

    :class:`SchemaNewer` when it is at revisions that this release does not know.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})")
        before = _current(connection)
        if unknown := before - known():
            raise SchemaNewer(
                f"the schema is of a newer release ({', '.join(sorted(unknown))}): run that release"
            )
        command.upgrade(config(connection), "heads")
        if before != head():
            _log.info("Schema migrated from %s to %s", sorted(before), sorted(head()))


@cache
def head() -> frozenset[str]:
    """Newest revisions this release knows."""
    return frozenset(ScriptDirectory.from_config(config()).get_heads())


@cache
def known() -> frozenset[str]:
    """All revisions of this release."""
    return frozenset(
        each.revision for each in ScriptDirectory.from_config(config()).walk_revisions()
    )


def current(engine: Engine) -> frozenset[str]:
    """Revisions the database is at; empty for an empty database."""
    with reading(engine).connect() as connection:
        return _current(connection)


def is_at_head(engine: Engine) -> bool:
    """Whether the schema is the one this release was written for."""
    return current(engine) == head()


def _current(connection: Connection) -> frozenset[str]:
    return frozenset(MigrationContext.configure(connection).get_current_heads())
