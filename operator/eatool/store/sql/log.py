"""The event log in SQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Engine, select

from eatool.store.batch import Encoded, encode
from eatool.store.clock import Clock, utc_now
from eatool.store.encoding import StoredEvent, Upcast, newest
from eatool.store.halving import by_halves
from eatool.store.listeners import Listeners
from eatool.store.port import (
    Append,
    Appended,
    Head,
    Outcome,
    RecordedEvent,
    StoreError,
    StoreUnavailable,
    Transaction,
)
from eatool.store.projection_port import InlineProjection
from eatool.store.sql.backend import Backend
from eatool.store.sql.commits import Commits
from eatool.store.sql.database import Database
from eatool.store.sql.engine import checkpoint, reading
from eatool.store.sql.errors import Errors
from eatool.store.sql.sqlite import SqliteBackend
from eatool.store.sql.tables import stream

_T = TypeVar("_T")

#: Names per ``IN`` list.
_NAMES = 500

#: Deadlocks and serialization failures in a row before the caller hears of it.
_ATTEMPTS = 5


class SqlEventStore:
    """See :class:`~eatool.store.port.EventStore`; thread-safe.

    Args:
        engine: from :func:`~eatool.store.sql.engine.open_engine`, at the newest migration;
            :meth:`close` disposes of it.
        projections: updated in every append transaction, in this order.
        upcast: brings stored events to their newest version, on every read path.
        clock: source of ``recorded_at``.

    """

    def __init__(
        self,
        engine: Engine,
        *,
        projections: Sequence[InlineProjection] = (),
        upcast: Upcast = newest,
        clock: Clock = utc_now,
    ) -> None:
        self.engine = engine
        self._database = Database(engine)
        self._reads = reading(engine)
        self._upcast = upcast
        self._backend = _backend(engine)
        self._errors = Errors(engine)
        self._listeners = Listeners()
        self._commits = Commits(
            engine,
            self._backend,
            self._errors,
            projections=projections,
            decode=self._decode,
            clock=clock,
        )

    def connect(self) -> Connection:
        """A connection for reading (autocommit); use it as a context manager."""
        return self._reads.connect()

    # -- append ----------------------------------------------------------------------------

    def append(self, *appends: Append) -> Appended:
        """See :class:`~eatool.store.port.EventStore`."""
        (outcome,) = self.append_batch([appends])
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    def append_batch(self, transactions: Sequence[Transaction]) -> list[Outcome]:
        """See :class:`~eatool.store.port.EventStore`."""
        return self.append_encoded([encode(transaction) for transaction in transactions])

    def append_encoded(self, batch: Sequence[Encoded | StoreError]) -> list[Outcome]:
        """:meth:`append_batch` for transactions that :func:`~eatool.store.batch.encode` took.

        A transaction that breaks the batch (a projection fails on it) is found by halving, so
        that its neighbours are recorded.
        """
        return by_halves(self._append_at_once, batch)

    def _append_at_once(self, batch: Sequence[Encoded | StoreError]) -> list[Outcome]:
        accepted = [each for each in batch if isinstance(each, Encoded)]
        if not accepted:
            return [each for each in batch if isinstance(each, StoreError)]
        check_ids = False
        for _ in range(_ATTEMPTS):
            try:
                outcomes, position = self._commits.commit(batch, accepted, check_ids=check_ids)
            except self._errors.types as error:
                if self._errors.duplicate(error) and not check_ids:
                    check_ids = True
                elif not self._errors.again(error):
                    raise self._errors.translate(error) from error
            else:
                if position:
                    self._listeners.wake(position)
                return outcomes
        raise StoreUnavailable(f"the database gave up the transaction {_ATTEMPTS} times")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction for other tables of this database, in turn with this process's appends.

        Commits at the end of the block, unless it raises. What the database does wrong is raised
        as a :class:`~eatool.store.port.StoreError`.
        """
        with self._database.write() as connection:
            yield connection

    def append_in(self, connection: Connection, *appends: Append) -> Appended:
        """Join the caller's transaction, as its last statement before commit.

        The log stays locked until the caller commits or rolls back, so do it at once. Raises the
        outcome when it is an error; the transaction remains usable after an
        :class:`~eatool.store.port.AppendRefused`. Listeners are not woken: they poll.
        """
        encoded = encode(appends)
        if isinstance(encoded, StoreError):
            raise encoded
        with self._database.translated():
            outcome = self._commits.join(connection, encoded)
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    # -- read ------------------------------------------------------------------------------

    def read_stream(
        self, stream_id: str, *, after_version: int = 0, until: datetime | None = None
    ) -> list[RecordedEvent]:
        """See :class:`~eatool.store.port.EventStore`."""
        return self._decode(
            self.read_stored_stream(stream_id, after_version=after_version, until=until)
        )

    def read_all(
        self, *, after: int = 0, limit: int = 1000, partitions: Collection[int] | None = None
    ) -> list[RecordedEvent]:
        """See :class:`~eatool.store.port.EventStore`."""
        return self._decode(self.read_stored(after=after, limit=limit, partitions=partitions))

    def read_stored(
        self, *, after: int = 0, limit: int = 1000, partitions: Collection[int] | None = None
    ) -> list[StoredEvent]:
        """:meth:`read_all` in the stored form: nothing is decoded, no version is unknown."""
        return self._database.query(
            lambda connection: self._backend.page(connection, after, limit, partitions)
        )

    def read_stored_stream(
        self, stream_id: str, *, after_version: int = 0, until: datetime | None = None
    ) -> list[StoredEvent]:
        """:meth:`read_stream` in the stored form."""
        return self._database.query(
            lambda connection: self._backend.by_stream(connection, stream_id, after_version, until)
        )

    def head(self) -> Head:
        """See :class:`~eatool.store.port.EventStore`."""
        return self._database.query(self._backend.head)

    def position_at(self, time: datetime) -> int:
        """See :class:`~eatool.store.port.EventStore`."""
        return self._database.query(lambda connection: self._backend.position_at(connection, time))

    def recorded(self, streams: Collection[str]) -> set[str]:
        """See :class:`~eatool.store.port.EventStore`."""
        names, found = sorted(streams), set[str]()
        for start in range(0, len(names), _NAMES):
            found |= self._database.query(partial(_recorded, names[start : start + _NAMES]))
        return found

    def _decode(self, rows: list[StoredEvent]) -> list[RecordedEvent]:
        upcast = self._upcast
        return [row.read(upcast) for row in rows]

    # -- life ------------------------------------------------------------------------------

    def on_append(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """See :class:`~eatool.store.port.EventStore`."""
        return self._listeners.add(wake)

    def tidy(self) -> None:
        """Housekeeping for idle moments (SQLite: truncate the write-ahead log)."""
        with self._database.translated():
            checkpoint(self.engine)

    def close(self) -> None:
        """See :class:`~eatool.store.port.EventStore`."""
        self.engine.dispose()


def _recorded(names: Sequence[str], connection: Connection) -> set[str]:
    query = select(stream.c.stream_id).where(stream.c.stream_id.in_(names))
    return set(connection.scalars(query))


def _backend(engine: Engine) -> Backend:
    if engine.dialect.name == "sqlite":
        return SqliteBackend()
    from eatool.store.sql.postgresql import PostgresqlBackend  # noqa: PLC0415 - psycopg is optional

    return PostgresqlBackend()
