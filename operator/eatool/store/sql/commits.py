"""One commit of the log: decided, written, made durable.

Two ways lead to it. Under the lock: lock the head, load what the decisions need, decide, write.
Ahead: decide on what is remembered of this process's last commit, and send everything in one
round trip that takes effect only if the head has not moved since. The first is always right; the
second spares round trips to a writer that is alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Engine

from eatool.store.arbiter import LogState
from eatool.store.batch import Batch, Encoded
from eatool.store.clock import Clock
from eatool.store.encoding import StoredEvent
from eatool.store.port import (
    Head,
    Outcome,
    ProjectionFailed,
    RecordedEvent,
    StoreError,
    Transaction,
)
from eatool.store.projection_port import InlineProjection
from eatool.store.sql.backend import Backend
from eatool.store.sql.changes import Rows, Wanted, behind, event_ids
from eatool.store.sql.engine import turn
from eatool.store.sql.errors import Errors
from eatool.store.sql.remembered import Remembered

#: From this many transactions on, what is decided is written while the next part is being decided:
#: the database works meanwhile, and a part stays in the processor's cache.
_STREAMED_FROM: Final = 8
_PART: Final = 16

#: Transactions to commit together; those that could not be encoded stand there as their error.
Together = Sequence[Encoded | StoreError]


class Commits:
    """Makes commits; thread-safe. What the driver raises passes through.

    Args:
        engine: as for the log.
        backend: of the engine's database.
        errors: of the engine's driver.
        projections: updated in every commit, in this order.
        decode: stored rows as readers see them.
        clock: source of ``recorded_at``.

    """

    def __init__(
        self,
        engine: Engine,
        backend: Backend,
        errors: Errors,
        *,
        projections: Sequence[InlineProjection],
        decode: Callable[[list[StoredEvent]], list[RecordedEvent]],
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._backend = backend
        self._errors = errors
        self._projections = tuple(projections)
        self._decode = decode
        self._clock = clock
        self._remembered = Remembered()
        self._turn = turn(engine)

    def commit(
        self, together: Together, accepted: Sequence[Encoded], *, check_ids: bool
    ) -> tuple[list[Outcome], int]:
        """An outcome for each, and the position of the last event written (0: none was).

        ``accepted`` are those that could be encoded. With ``check_ids`` all are looked up first,
        because they may be recorded already.
        """
        wanted = Wanted.by(accepted)
        state, left_at = self._remembered.take()
        with self._turn:
            if left_at is not None and not check_ids and self._goes_ahead(accepted, wanted, state):
                outcomes, end = self._commit_ahead(left_at, state, wanted, together)
                if end is not None:
                    return outcomes, end.position
                # What was decided upon is of no use; and a lost connection may have committed.
                state, left_at, check_ids = LogState(), None, True
            with self._locked(wanted, state, left_at) as (connection, head, known):
                outcomes, end = self._write(
                    connection, head, known, together, accepted, check_ids=check_ids, commit=True
                )
                self._remembered.put(known, head, end)
                return outcomes, end.position if end is not head else 0

    def join(self, connection: Connection, encoded: Encoded) -> Outcome:
        """Write one transaction as the last statement of the caller's, who commits."""
        try:
            if not connection.in_transaction():
                connection.begin()
            state, wanted = LogState(), Wanted.by([encoded])
            head = self._backend.lock(connection, wanted, state, begin=False)
            wanted.settle(state)
            (outcome,), _ = self._write(
                connection, head, state, [encoded], [encoded], check_ids=True, commit=False
            )
        except self._errors.types:
            self._errors.discard(connection)
            raise
        return outcome

    # -- ahead -----------------------------------------------------------------------------

    def _goes_ahead(self, accepted: Sequence[Encoded], wanted: Wanted, state: LogState) -> bool:
        return len(accepted) <= self._backend.ahead and wanted.beyond(state).nothing

    def _commit_ahead(
        self, head: Head, state: LogState, wanted: Wanted, together: Together
    ) -> tuple[list[Outcome], Head | None]:
        """No head when it came to nothing: refused, head moved, or connection lost."""
        wanted.settle(state)
        batch = Batch(head, state, self._clock(), lambda _: [])
        outcomes = list(map(batch.decide, together))
        for asked, outcome in zip(together, outcomes, strict=True):
            if isinstance(outcome, StoreError) and outcome is not asked:
                return outcomes, None  # only the lock's owner may refuse: this may be outdated
        rows, end = Rows.of(batch, batch.take_rows()), batch.end
        connection = self._backend.connect(self._engine)
        try:
            if self._backend.write_from(
                connection, head, rows, end, self._projecting(connection, batch)
            ):
                self._remembered.put(state, head, end)
                return outcomes, end
        except self._errors.types:
            if not self._errors.discard(connection):
                raise
        finally:
            connection.close()
        return outcomes, None

    # -- under the lock --------------------------------------------------------------------

    @contextmanager
    def _locked(
        self, wanted: Wanted, state: LogState, left_at: Head | None
    ) -> Iterator[tuple[Connection, Head, LogState]]:
        connection, head, known = self._open(wanted, state, left_at)
        try:
            yield connection, head, known
        except self._errors.types:
            self._errors.discard(connection)
            raise
        finally:
            connection.close()

    def _open(
        self, wanted: Wanted, state: LogState, left_at: Head | None
    ) -> tuple[Connection, Head, LogState]:
        """Begin and lock; a pooled connection that died in the meantime is replaced once."""
        for first in (True, False):
            connection = self._backend.connect(self._engine)
            try:
                return connection, *self._lock(connection, wanted, state, left_at)
            except self._errors.types:
                lost = self._errors.discard(connection)
                connection.close()
                if not (first and lost):
                    raise
                state, left_at = LogState(), None
        raise AssertionError("unreachable")

    def _lock(
        self, connection: Connection, wanted: Wanted, state: LogState, left_at: Head | None
    ) -> tuple[Head, LogState]:
        head = self._backend.lock(connection, wanted.beyond(state), state, begin=True)
        if left_at is not None and left_at.hash != head.hash:
            state = LogState()
            self._backend.load(connection, wanted, state)
        wanted.settle(state)
        return head, state

    def _write(
        self,
        connection: Connection,
        head: Head,
        state: LogState,
        together: Together,
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
        parts = self._decide(batch, together, outcomes)
        if len(accepted) < _STREAMED_FROM:
            events = [row for part in parts for row in part]
        else:
            events = []
            self._backend.write_events(connection, parts)
        if batch.position == head.position:
            return outcomes, head
        end = batch.end
        project = self._projecting(connection, batch)
        self._backend.write(connection, Rows.of(batch, events), end, project, commit=commit)
        return outcomes, end

    @staticmethod
    def _decide(
        batch: Batch, together: Together, outcomes: list[Outcome]
    ) -> Iterator[list[StoredEvent]]:
        """Rows of the accepted events, part by part; an outcome of each transaction goes along."""
        for start in range(0, len(together), _PART):
            outcomes += map(batch.decide, together[start : start + _PART])
            yield batch.take_rows()

    def _find(
        self, found: Mapping[UUID, StoredEvent], transaction: Transaction
    ) -> list[RecordedEvent]:
        ids = [event.event_id for append in transaction for event in append.events]
        return self._decode(sorted(found[each] for each in ids if each in found))

    def _projecting(self, connection: Connection, batch: Batch) -> Callable[[], None] | None:
        return partial(self._project, connection, batch.events) if self._projections else None

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
