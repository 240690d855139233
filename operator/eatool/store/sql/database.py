"""One database, as everything beside the append path uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Connection, Engine, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from eatool.store.clock import Clock
from eatool.store.sql.engine import reading, turn
from eatool.store.sql.errors import Errors

_T = TypeVar("_T")


class Database:
    """Reads, transactions and the time; what the database does wrong is a ``StoreError``.

    ``engine`` comes from :func:`~eatool.store.sql.engine.open_engine`. Time is the database
    server's on PostgreSQL, so the clocks of the hosts that share it do not matter; ``clock``
    overrides it. Thread-safe.
    """

    def __init__(self, engine: Engine, *, clock: Clock | None = None) -> None:
        self.engine = engine
        self._reading = reading(engine)
        self._errors = Errors(engine)
        self._turn = turn(engine)
        self._clock = clock

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction; commits at the end of the block, unless it raises."""
        with self.translated(), self._turn, self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that takes no lock and is in no transaction."""
        with self.translated(), self._reading.connect() as connection:
            yield connection

    def query(self, run: Callable[[Connection], _T]) -> _T:
        """Run a reading query, once more when its pooled connection turns out to be dead."""
        for first in (True, False):
            lost = False
            try:
                with self._reading.connect() as connection:
                    try:
                        return run(connection)
                    except self._errors.types:
                        lost = self._errors.discard(connection)
                        raise
            except self._errors.types as error:
                if not (first and lost):
                    raise self._errors.translate(error) from error
        raise AssertionError("unreachable")

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise what the database does wrong inside the block as the port's error."""
        try:
            yield
        except self._errors.types as error:
            raise self._errors.translate(error) from error

    def now(self, connection: Connection) -> datetime:
        """The time by which leases, ages and pauses are measured."""
        if self._clock is not None:
            return self._clock()
        if connection.dialect.name == "postgresql":
            now: datetime = connection.scalars(select(func.clock_timestamp())).one()
            return now.astimezone(UTC)
        return datetime.now(UTC)

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """An INSERT that knows ON CONFLICT."""
        return inserting(self.engine.dialect.name, table)


def inserting(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT of a dialect that knows ON CONFLICT, where only a connection is at hand."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
