"""The log's group commit: callers encode their events, and share commits."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol, Self

from eatool.store.batch import Encoded, encode
from eatool.store.group_commit import MAX_BATCH, MAX_WAITING, GroupCommit
from eatool.store.port import Append, Appended, Outcome, StoreError


class Grouped(Protocol):
    """What the appender asks of a store."""

    def append_encoded(self, batch: Sequence[Encoded | StoreError]) -> list[Outcome]:
        """Commit a batch; an outcome for each."""
        ...

    def tidy(self) -> None:
        """Called after a while without appends."""
        ...


class LogAppender:
    """Appends from any number of tasks and threads in shared commits.

    A cancelled or timed-out caller may still have its events recorded: repeat the append, it
    will be recognised. :meth:`close` commits what is queued; the store stays open.
    """

    def __init__(
        self, store: Grouped, *, max_batch: int = MAX_BATCH, max_waiting: int = MAX_WAITING
    ) -> None:
        self._commits: GroupCommit[Encoded, Appended] = GroupCommit(
            store.append_encoded,
            name="appender",
            idle=store.tidy,
            max_batch=max_batch,
            max_waiting=max_waiting,
        )

    async def append(self, *appends: Append) -> Appended:
        """One transaction; raises its outcome when that is an error."""
        encoded = encode(appends)
        if isinstance(encoded, StoreError):
            raise encoded
        return await self._commits.request(encoded)

    def submit(self, *appends: Append) -> Future[Appended]:
        """The same for threads; blocks only while :data:`MAX_WAITING` transactions wait."""
        encoded = encode(appends)
        if isinstance(encoded, StoreError):
            refused: Future[Appended] = Future()
            refused.set_exception(encoded)
            return refused
        return self._commits.submit(encoded)

    def close(self) -> None:
        """Commit what is queued and stop; later appends raise ``StoreUnavailable``."""
        self._commits.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
