"""One replica decides: a lease in the log's database."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import Column, Engine, String, Table, delete, or_, select

from eatool.store.clock import Clock
from eatool.store.sql.database import Database
from eatool.store.sql.schema import UtcDateTime, metadata

#: Seconds for which a holder that was killed keeps its lease; renewed with every look.
DURATION: Final = 10.0

rollout_lease = Table(
    "rollout_lease",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("holder", String(255), nullable=False),
    Column("held_until", UtcDateTime, nullable=False),
)


class SqlLease:
    """Held by one replica at a time; time is the database server's on PostgreSQL.

    Convenience, not safety: two holders would say the same twice, and the ledger takes a step
    once.
    """

    def __init__(
        self, engine: Engine, name: str, holder: str, *, clock: Clock | None = None
    ) -> None:
        self._database = Database(engine, clock=clock)
        self._name = name
        self._holder = holder

    def hold(self, duration: float = DURATION) -> bool:
        """Take or renew the lease for so many seconds; False when another replica has it.

        Blocks; raises :class:`~eatool.store.port.StoreError`.
        """
        table = rollout_lease
        with self._database.write() as connection:
            now = self._database.now(connection)
            taking = self._database.insert(table).values(
                name=self._name,
                holder=self._holder,
                held_until=now + timedelta(seconds=duration),
            )
            connection.execute(
                taking.on_conflict_do_update(
                    index_elements=[table.c.name],
                    set_={
                        "holder": taking.excluded.holder,
                        "held_until": taking.excluded.held_until,
                    },
                    where=or_(table.c.holder == self._holder, table.c.held_until < now),
                )
            )
            holder = connection.scalar(select(table.c.holder).where(table.c.name == self._name))
        return holder == self._holder

    def leave(self) -> None:
        """Let another replica decide at once."""
        table = rollout_lease
        with self._database.write() as connection:
            connection.execute(
                delete(table).where(table.c.name == self._name, table.c.holder == self._holder)
            )
