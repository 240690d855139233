"""Close a legacy table to writers, in the transaction in which its kind retires.

Until that commit a direct write is verified like any other; after it the database refuses them.
There is no moment in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, inspect, select
from sqlalchemy.exc import OperationalError

from eatool.domain.kind import EntityKind
from eatool.legacy import triggers
from eatool.legacy.tables import LEGACY_TABLES, legacy_change
from eatool.rollout.ledger import CannotRetire

_MARK: Final = "_retired_"
#: On PostgreSQL the comment of a table that was closed here.
_COMMENT: Final = "retired by the EATool operator"
#: Whoever reads the table for longer than this is waited for in another attempt.
_LOCK_TIMEOUT: Final = "3s"
#: lock_not_available: PostgreSQL's word for a lock timeout.
_IN_USE: Final = "55P03"
_MEND: Final = "drop that constraint first"
_WRITES: Final = "INSERT, UPDATE, DELETE, TRUNCATE"
#: Whoever has any right on a table or a column, the owner included.
_WRITERS: Final = """
    SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
    FROM (
        SELECT coalesce(relacl, acldefault('r', relowner)) AS rights
        FROM pg_class WHERE oid = to_regclass(%(table)s)
        UNION ALL SELECT attacl FROM pg_attribute WHERE attrelid = to_regclass(%(table)s)
    ) AS granted, aclexplode(rights)
"""


def retired_name(kind: EntityKind, at: datetime) -> str:
    """What the table of a kind that retired at ``at`` is called from then on."""
    return f"{kind.table}{_MARK}{at:%Y%m%d}"


def obstacle(connection: Connection, kind: EntityKind, at: datetime) -> str | None:
    """What keeps the table from being renamed and closed at ``at``, and what mends it."""
    name = retired_name(kind, at)
    if inspect(connection).has_table(name):
        return f"{kind.table} cannot be renamed: there is another table {name}"
    return next(_foreign_keys(connection, kind.table), None)


def close_table(connection: Connection, kind: EntityKind, at: datetime) -> None:
    """Rename the table, if there is one, and close it (``at``: the day of it).

    Whoever still writes to it is told by the database: by its old name there is no table, by its
    new one nobody has the right. Raises :class:`CannotRetire`.
    """
    if not inspect(connection).has_table(kind.table):
        return
    _keep_writers_out(connection, kind.table)
    if (found := obstacle(connection, kind, at)) is not None:
        raise CannotRetire(found)
    unverified = select(legacy_change.c.seq).where(
        legacy_change.c.aggregate_type == kind.aggregate_type
    )
    if connection.execute(unverified.limit(1)).first() is not None:
        raise CannotRetire(f"{kind.table} was written to and is not verified yet")
    triggers.drop(connection, LEGACY_TABLES[kind.aggregate_type])
    name = retired_name(kind, at)
    connection.exec_driver_sql(f"ALTER TABLE {kind.table} RENAME TO {name}")
    _close(connection, name)


def _foreign_keys(connection: Connection, table: str) -> Iterator[str]:
    """Those between the table and one that is still written to, whose writes would fail.

    New entities have no row to refer to; and PostgreSQL looks at a closed table as its owner, who
    may not lock its rows any more.
    """
    inspector = inspect(connection)
    default = inspector.default_schema_name
    for schema in inspector.get_schema_names():
        found = inspector.get_multi_foreign_keys(schema=None if schema == default else schema)
        for (_, source), keys in found.items():
            for key in keys:
                target, columns = key["referred_table"], ", ".join(key["constrained_columns"])
                from_here = schema == default and source == table
                to_here = key["referred_schema"] in (None, default) and _same(target, table)
                if from_here == to_here or was_closed(connection, target if from_here else source):
                    continue
                if to_here:
                    yield f"{table} is referenced by {source}.{columns}: {_MEND}"
                else:
                    yield f"{table}.{columns} references {target}: {_MEND}"


def _same(target: str, table: str) -> bool:
    """SQLite gives a target as it was typed."""
    return target.lower() == table


def was_closed(connection: Connection, table: str) -> bool:
    """Whether it is there and was closed here, and not somebody else's of the same name."""
    if connection.dialect.name == "postgresql":
        query, told = "SELECT obj_description(to_regclass(%s), 'pg_class')", _COMMENT
        return connection.exec_driver_sql(query, (table,)).scalar() == told
    query = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
    return any(_REFUSAL in sql for sql in connection.exec_driver_sql(query, (table,)).scalars())


def _keep_writers_out(connection: Connection, table: str) -> None:
    """Until the transaction ends; on SQLite there is no other writer."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        try:
            connection.exec_driver_sql(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _IN_USE:
                raise
            raise CannotRetire(
                f"{table} is in use by a transaction of more than {_LOCK_TIMEOUT}"
            ) from error
        connection.exec_driver_sql("SET LOCAL lock_timeout = DEFAULT")


_REFUSAL: Final = "RAISE(ABORT, 'the table is retired')"


def _close(connection: Connection, table: str) -> None:
    """Keep the rows as they are: everybody may go on reading them, and nobody write."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"COMMENT ON TABLE {table} IS '{_COMMENT}'")
        writers = connection.exec_driver_sql(_WRITERS, {"table": table}).scalars().all()
        if writers:
            connection.exec_driver_sql(
                f"REVOKE {_WRITES} ON {table} FROM {', '.join(writers)} CASCADE"
            )
        return
    for write in ("INSERT", "UPDATE", "DELETE"):
        connection.exec_driver_sql(
            f"CREATE TRIGGER {table}_{write.lower()} BEFORE {write} ON {table} "
            f"BEGIN SELECT {_REFUSAL}; END"
        )
