"""The event log in SQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection, Engine

from eatool.store.arbiter import LogState
from eatool.store.batch import Batch, Encoded, encode
from eatool.store.clock import Clock, utc_now
from eatool.store.encoding import StoredEvent, Upcast, newest
from eatool.store.halving import by_halves
from eatool.store.listeners import Listeners
from eatool.store.port import (
    Append,
    Appended,
    Head,
    Outcome,
    ProjectionFailed,
    RecordedEvent,
    StoreError,
    StoreUnavailable,
    Transaction,
)
from eatool.store.projection_port import InlineProjection
from eatool.store.sql.backend import Backend
from eatool.store.sql.changes import Rows, Wanted, behind, event_ids
from eatool.store.sql.database import Database
from eatool.store.sql.engine import checkpoint, reading
from eatool.store.sql.errors import Errors
from eatool.store.sql.remembered import Remembered
from eatool.store.sql.sqlite import SqliteBackend

_T = TypeVar("_T")

#: Deadlocks and serialization failures in a row before the caller hears of it.
_ATTEMPTS = 5
#: From this many transactions on, what is decided is written while the next part is being decided:
#: the database works meanwhile, and a part stays in the processor's cache.
_STREAMED_FROM = 8
_PART = 16


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
        self._projections = tuple(projections)
        self._upcast = upcast
        self._clock = clock
        self._backend = _backend(engine)
        self._errors = Errors(engine)
        self._listeners = Listeners()
        self._remembered = Remembered()
        # SQLite's own waiting sleeps in steps of up to 100 ms; threads of one process need not.
        self._writer: AbstractContextManager[object] = (
            threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()
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
                outcomes, position = self._commit(batch, accepted, check_ids=check_ids)
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
        with self._writer, self._database.write() as connection:
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
        try:
            if not connection.in_transaction():
                connection.begin()
            state, wanted = LogState(), Wanted.by([encoded])
            head = self._backend.lock(connection, wanted, state, begin=False)
            wanted.settle(state)
            (outcome,), _ = self._write(
                connection, head, state, [encoded], [encoded], check_ids=True, commit=False
            )
        except self._errors.types as error:
            self._errors.discard(connection)
            raise self._errors.translate(error) from error
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    def _commit(
        self, batch: Sequence[Encoded | StoreError], accepted: Sequence[Encoded], *, check_ids: bool
    ) -> tuple[list[Outcome], int]:
        with self._writer, self._locked(Wanted.by(accepted)) as (connection, head, state):
            outcomes, end = self._write(
                connection, head, state, batch, accepted, check_ids=check_ids, commit=True
            )
            self._remembered.put(state, head, end)
            return outcomes, end.position if end is not head else 0

    @contextmanager
    def _locked(self, wanted: Wanted) -> Iterator[tuple[Connection, Head, LogState]]:
        connection, head, state = self._open(wanted)
        try:
            yield connection, head, state
        except self._errors.types:
            self._errors.discard(connection)
            raise
        finally:
            connection.close()

    def _open(self, wanted: Wanted) -> tuple[Connection, Head, LogState]:
        """Begin and lock; a pooled connection that died in the meantime is replaced once."""
        for first in (True, False):
            connection = self._backend.connect(self.engine)
            try:
                return connection, *self._lock(connection, wanted)
            except self._errors.types:
                lost = self._errors.discard(connection)
                connection.close()
                if not (first and lost):
                    raise
        raise AssertionError("unreachable")

    def _lock(self, connection: Connection, wanted: Wanted) -> tuple[Head, LogState]:
        state, left_at = self._remembered.take()
        head = self._backend.lock(connection, wanted.beyond(state), state, begin=True)
        if left_at not in {None, head.hash}:
            state = LogState()
            self._backend.load(connection, wanted, state)
        wanted.settle(state)
        return head, state

    def _write(
        self,
        connection: Connection,
        head: Head,
        state: LogState,
        transactions: Sequence[Encoded | StoreError],
        accepted: Sequence[Encoded],
        *,
        check_ids: bool,
        commit: bool,
    ) -> tuple[list[Outcome], Head]:
        """Decide and write; outcomes and the new head (the same when nothing was written)."""
        found: dict[UUID, StoredEvent] = {}
        suspects = accepted if check_ids else behind(accepted, state)
        if suspects:
            rows = self._backend.by_ids(connection, event_ids(suspects))
            found = {row.event_id: row for row in rows}
            state.recorded = {row.event_id: row.stream_id for row in rows}
        batch = Batch(head, state, self._clock(), partial(self._find, found))
        outcomes: list[Outcome] = []
        parts = self._decide(batch, transactions, outcomes)
        if len(accepted) < _STREAMED_FROM:
            events = [row for part in parts for row in part]
        else:
            events = []
            self._backend.write_events(connection, parts)
        if batch.position == head.position:
            return outcomes, head
        project = partial(self._project, connection, batch.events) if self._projections else None
        end = Head(batch.position, batch.hash, batch.recorded_at)
        self._backend.write(connection, Rows.of(batch, events), end, project, commit=commit)
        return outcomes, end

    @staticmethod
    def _decide(
        batch: Batch, transactions: Sequence[Encoded | StoreError], outcomes: list[Outcome]
    ) -> Iterator[list[StoredEvent]]:
        """Rows of the accepted events, part by part; an outcome of each transaction goes along."""
        for start in range(0, len(transactions), _PART):
            outcomes += map(batch.decide, transactions[start : start + _PART])
            yield batch.take_rows()

    def _find(
        self, found: Mapping[UUID, StoredEvent], transaction: Transaction
    ) -> list[RecordedEvent]:
        ids = [event.event_id for append in transaction for event in append.events]
        return self._decode(sorted(found[each] for each in ids if each in found))

    def _project(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        for projection in self._projections:
            try:
                projection.apply(connection, events)
            except StoreError:
                raise
            except self._errors.types:
                raise
            except Exception as error:
                raise ProjectionFailed(
                    f"{type(projection).__name__}: {type(error).__name__}"
                ) from error

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


def _backend(engine: Engine) -> Backend:
    if engine.dialect.name == "sqlite":
        return SqliteBackend()
    from eatool.store.sql.postgresql import PostgresqlBackend  # noqa: PLC0415 - psycopg is optional

    return PostgresqlBackend()
