"""What the log asks of a projection that is updated in the append transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from eatool.store.port import RecordedEvent


class InlineProjection(Protocol):
    """A read model that is never behind the log."""

    def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        """Fold a batch in log order.

        Called once per commit, inside the transaction and under the log's lock: use set-based
        statements, do no other I/O. An exception rolls the whole batch back.
        """
        ...
