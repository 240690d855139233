"""Take a legacy table out of service, in two steps.

Renamed and closed to writers when its kind retires; dropped on a person's word.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, delete, inspect

from eatool.domain.kind import EntityKind
from eatool.legacy import triggers
from eatool.legacy.tables import LEGACY_TABLES, legacy_change
from eatool.rollout.dropping import table_dropped
from eatool.rollout.ledger_sql import append_step, locked
from eatool.store.sql.engine import reading
from eatool.store.sql.log import SqlEventStore

_MARK: Final = "_retired_"
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


class Retirement:
    """Methods block, may be repeated, and raise :class:`~eatool.store.port.StoreError`."""

    def __init__(self, store: SqlEventStore) -> None:
        self._store = store

    def rename(self, kind: EntityKind, at: datetime) -> str | None:
        """Give the table its retired name (``at``: the day of it); the name, if it was renamed.

        Whoever still writes to it is told by the database: by its old name there is no table, by
        its new one nobody has the right. Its triggers go first: there is nobody left to verify
        what they tell of.
        """
        legacy = LEGACY_TABLES[kind.aggregate_type]
        name = retired_name(kind, at)
        with self._store.transaction() as connection:
            present = set(inspect(connection).get_table_names())
            if kind.table not in present or name in present:
                return None
            triggers.drop(connection, legacy)
            connection.exec_driver_sql(f"ALTER TABLE {kind.table} RENAME TO {name}")
            _close(connection, name)
            mine = legacy_change.c.aggregate_type == kind.aggregate_type
            connection.execute(delete(legacy_change).where(mine))
        return name

    def remains(self, kind: EntityKind, at: datetime) -> str | None:
        """Name of the table that retired at ``at``; ``None`` when it is not renamed, or gone."""
        with reading(self._store.engine).connect() as connection:
            return _remains(connection, kind, at)

    def drop(self, kind: EntityKind, table: str, actor: str) -> bool:
        """Drop the retired ``table`` for good, and record it, on the word of ``actor``.

        Whether it was there. Raises :class:`~eatool.rollout.ledger.LedgerRefused` when the kind
        is not under rollout.
        """
        name = kind.aggregate_type
        with self._store.transaction() as connection:
            standing = locked(connection, name)
            if _remains(connection, kind, standing.since) != table:
                return False
            connection.exec_driver_sql(f"DROP TABLE {table}")
            event = table_dropped(standing, table, actor, datetime.now(UTC))
            append_step(self._store, connection, name, event, standing.fence)
        return True


def _remains(connection: Connection, kind: EntityKind, at: datetime) -> str | None:
    present = set(inspect(connection).get_table_names())
    name = retired_name(kind, at)
    # With the old name still there, the new one is taken by somebody else's table.
    return name if name in present and kind.table not in present else None


def _close(connection: Connection, table: str) -> None:
    """Keep the rows as they are: everybody may go on reading them, and nobody write."""
    if connection.dialect.name == "postgresql":
        writers = connection.exec_driver_sql(_WRITERS, {"table": table}).scalars().all()
        if writers:
            connection.exec_driver_sql(
                f"REVOKE {_WRITES} ON {table} FROM {', '.join(writers)} CASCADE"
            )
        return
    for write in ("INSERT", "UPDATE", "DELETE"):
        connection.exec_driver_sql(
            f"CREATE TRIGGER {table}_{write.lower()} BEFORE {write} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is retired'); END"
        )
