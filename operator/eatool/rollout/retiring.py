"""What becomes of a retired table: it is kept, and dropped on a person's word."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection

from eatool.domain.kind import EntityKind
from eatool.rollout.closing import retired_name, was_closed
from eatool.rollout.dropping import table_dropped
from eatool.rollout.ledger_sql import append_step, locked
from eatool.store.sql.engine import reading
from eatool.store.sql.log import SqlEventStore


class Retirement:
    """Methods block, may be repeated, and raise :class:`~eatool.store.port.StoreError`."""

    def __init__(self, store: SqlEventStore) -> None:
        self._store = store

    def remains(self, kind: EntityKind, at: datetime) -> str | None:
        """Name of the table that retired at ``at``; ``None`` when it is gone, or never was."""
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
    name = retired_name(kind, at)
    return name if was_closed(connection, name) else None
