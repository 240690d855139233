"""What the log does differently on each database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection, Engine

from eatool.store.arbiter import LogState
from eatool.store.encoding import StoredEvent
from eatool.store.port import Head
from eatool.store.sql.changes import Rows, Wanted

#: Columns of ``event`` in the order of :class:`StoredEvent`.
EVENT_COLUMNS = StoredEvent._fields


class Backend(Protocol):
    """Statements of the log, straight on the driver: this is the hot path.

    Driver errors pass through.
    """

    #: Transactions up to which deciding a commit ahead of the lock pays (:meth:`write_from`).
    ahead: int

    def connect(self, engine: Engine) -> Connection:
        """A connection for one transaction that ``lock`` begins and ``write`` commits.

        Closing it rolls back what was not committed.
        """
        ...

    def lock(self, connection: Connection, wanted: Wanted, state: LogState, *, begin: bool) -> Head:
        """Take the log's lock until the end of the transaction, then :meth:`load`."""
        ...

    def load(self, connection: Connection, wanted: Wanted, state: LogState) -> None:
        """Read what is wanted into the state, with statements newer than the lock."""
        ...

    def write_events(self, connection: Connection, parts: Iterable[Sequence[StoredEvent]]) -> None:
        """Write events part by part; making a part needs no statement on the connection."""
        ...

    def write(
        self,
        connection: Connection,
        rows: Rows,
        head: Head,
        project: Callable[[], None] | None,
        *,
        commit: bool,
    ) -> None:
        """Write the rows, let ``project`` write what follows from them, then the new head.

        Commits in the same round trip when asked to.
        """
        ...

    def write_from(
        self,
        connection: Connection,
        start: Head,
        rows: Rows,
        head: Head,
        project: Callable[[], None] | None,
    ) -> bool:
        """Begin, write and commit if the log ends at ``start``; else write nothing: ``False``."""
        ...

    def by_ids(self, connection: Connection, ids: Sequence[UUID]) -> list[StoredEvent]:
        """Events with these ids, in log order."""
        ...

    def by_stream(
        self, connection: Connection, stream_id: str, after: int, until: datetime | None
    ) -> list[StoredEvent]:
        """Events of one stream with versions over ``after``, recorded up to ``until``."""
        ...

    def page(
        self,
        connection: Connection,
        after: int,
        limit: int,
        partitions: Collection[int] | None,
    ) -> list[StoredEvent]:
        """The next ``limit`` events over a position, of all or some partitions."""
        ...

    def head(self, connection: Connection) -> Head:
        """The end of the log, without locking it."""
        ...

    def position_at(self, connection: Connection, time: datetime) -> int:
        """Last position recorded at or before ``time``."""
        ...
