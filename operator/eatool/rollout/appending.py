"""How an accepted change is written, phase by phase.

Whoever writes says under which epoch it was decided: the log refuses an append whose fence has
moved, and a write to the legacy table holds the fence in its own transaction.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, cast

from sqlalchemy import Connection, select

from eatool.domain.events import Deleted
from eatool.domain.evolve import read_event
from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntitySpec
from eatool.domain.kinds import KINDS
from eatool.legacy.writing import LegacyRows
from eatool.registry.service import Appender
from eatool.store.batch import encode
from eatool.store.clock import Clock, utc_now
from eatool.store.port import Append, Appended, AppendRefused, Fence, StaleEpoch, StoreError
from eatool.store.sql.errors import Errors
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.tables import fence as fences

#: Writes of rows in one transaction.
_MAX_BATCH = 256
#: Deadlocks and serialization failures in a row before the caller hears of it.
_ATTEMPTS = 5


class LegacyOnly(Exception):
    """The legacy row is written, and its events could not be recorded for another reason."""

    def __init__(self, row_version: int, cause: StoreError) -> None:
        super().__init__(str(cause))
        self.row_version, self.cause = row_version, cause


class Deferred(Exception):
    """The change was accepted, by what is known now, and is to be queued instead of recorded."""

    def __init__(self, append: Append) -> None:
        super().__init__(append.stream_id)
        self.append = append


def hold(connection: Connection, fence: Fence) -> None:
    """Keep the fence where it is until the transaction ends.

    Raises :class:`~eatool.store.port.StaleEpoch` when it has moved on already.
    """
    query = select(fences.c.epoch).where(fences.c.name == fence.name)
    actual = connection.scalar(query.with_for_update(read=True)) or 0
    if actual != fence.epoch:
        raise StaleEpoch(fence.name, fence.epoch, actual)


@dataclass(frozen=True, slots=True)
class RowWrite:
    """What a legacy row is to say: a canonical spec, or ``None`` for nothing.

    ``expected_version``: that of the row it was decided on (0 = there was none).
    """

    fence: Fence
    ref: EntityRef
    spec: EntitySpec | None
    expected_version: int | None = None


class LegacyWriter:
    """Writes legacy rows, each checked against its fence; those that wait share a transaction.

    Used from one event loop, with one thread of its own.
    """

    def __init__(self, store: SqlEventStore, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock
        self._errors = Errors(store.engine)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="legacy")
        self._waiting: list[tuple[RowWrite, asyncio.Future[int]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def write(self, write: RowWrite) -> int:
        """The row's version then; 0 when there is none and none was wanted.

        Raises ``StaleEpoch``, :class:`~eatool.legacy.writing.RowChanged` and ``StoreError``.
        """
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((write, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._drain())
        return await answer

    def close(self) -> None:
        """End the thread; writes under way end first."""
        self._thread.shutdown()

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._take()
            writes = [write for write, _ in batch]
            results = await loop.run_in_executor(self._thread, self._commit, writes)
            for (_, answer), result in zip(batch, results, strict=True):
                if answer.done():
                    continue
                if isinstance(result, int):
                    answer.set_result(result)
                else:
                    answer.set_exception(result)

    def _take(self) -> list[tuple[RowWrite, asyncio.Future[int]]]:
        """What waits, each row once: the second write of a row is based on the first."""
        taken: dict[EntityRef, tuple[RowWrite, asyncio.Future[int]]] = {}
        left = []
        for write, answer in self._waiting:
            if write.ref in taken or len(taken) == _MAX_BATCH:
                left.append((write, answer))
            else:
                taken[write.ref] = (write, answer)
        self._waiting = left
        return list(taken.values())

    # -- worker thread ---------------------------------------------------------------------

    def _commit(self, writes: Sequence[RowWrite]) -> list[int | Exception]:
        try:
            return list(self._at_once(writes))
        # Every writer gets to see what became of its own row.
        except Exception as error:
            if len(writes) == 1:
                return [error]
        return [result for write in writes for result in self._commit([write])]

    def _at_once(self, writes: Sequence[RowWrite]) -> list[int]:
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._transaction(writes)
            except StoreError as error:
                cause = error.__cause__
                if not (isinstance(cause, Exception) and self._errors.again(cause)):
                    raise
        return self._transaction(writes)

    def _transaction(self, writes: Sequence[RowWrite]) -> list[int]:
        by_kind: defaultdict[str, list[RowWrite]] = defaultdict(list)
        for write in writes:
            by_kind[write.ref.aggregate_type].append(write)
        versions: dict[EntityRef, int] = {}
        with self._store.transaction() as connection:
            for fence in sorted({write.fence for write in writes}, key=lambda each: each.name):
                hold(connection, fence)
            rows = LegacyRows(connection, clock=self._clock)
            for aggregate_type, mine in sorted(by_kind.items()):
                wanted = {write.ref.name: write.spec for write in mine}
                expected = {
                    write.ref.name: write.expected_version
                    for write in mine
                    if write.expected_version is not None
                }
                after = rows.write(aggregate_type, wanted, expected)
                versions |= {write.ref: after.get(write.ref.name, 0) for write in mine}
        return [versions[write.ref] for write in writes]


class Fenced:
    """Appends under the epoch of a standing."""

    def __init__(self, inner: Appender, fence: Fence) -> None:
        self._inner = inner
        self._fence = fence

    async def append(self, *appends: Append) -> Appended:
        """See :class:`~eatool.registry.service.Appender`; ``StaleEpoch`` when it has moved on."""
        fenced = [replace(append, fence=self._fence) for append in appends]
        return await self._inner.append(*fenced)


class LegacyFirst:
    """Writes the legacy rows in their own transaction, then appends.

    What the log could never hold is refused before anything is written. When the append fails
    for another reason than that it has to be decided anew, :class:`LegacyOnly` says that the
    rows stay: they are authoritative, and marked as not yet recorded.
    """

    def __init__(self, inner: Appender, legacy: LegacyWriter, fence: Fence) -> None:
        self._inner = Fenced(inner, fence)
        self._legacy = legacy
        self._fence = fence

    async def append(self, *appends: Append) -> Appended:
        """See :class:`~eatool.registry.service.Appender`."""
        encoded = encode(appends)
        if isinstance(encoded, StoreError):
            raise encoded
        version = 0
        for append in appends:
            ref = EntityRef.parse(append.stream_id)
            version = await self._legacy.write(RowWrite(self._fence, ref, outcome_of(append)))
        try:
            return await self._inner.append(*appends)
        except (AppendRefused, StaleEpoch):
            raise
        except StoreError as error:
            raise LegacyOnly(version, error) from error


class Deferring:
    """Appends nothing: raises :class:`Deferred`."""

    async def append(self, *appends: Append) -> Appended:
        """See :class:`~eatool.registry.service.Appender`."""
        raise Deferred(appends[0])


def outcome_of(append: Append) -> EntitySpec | None:
    """The spec after the events of an append; ``None`` after a deletion."""
    last = append.events[-1]
    return spec_after(EntityRef.parse(append.stream_id).aggregate_type, last.type, last.data)


def spec_after(aggregate_type: str, versioned_type: str, data: dict[str, Any]) -> EntitySpec | None:
    """The spec that an event leaves; ``None`` when it is a deletion."""
    event = read_event(KINDS[aggregate_type], versioned_type, data)
    return None if isinstance(event, Deleted) else cast("EntitySpec", event.entity)
