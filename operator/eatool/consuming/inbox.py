"""The rule with SQLite: verdict, effect and progress in one transaction.

With another database do the same there: lock the row of the stream, judge, write, commit::

    INSERT INTO eatool_progress VALUES (%s, %s, '0') ON CONFLICT DO NOTHING;
    SELECT progress FROM eatool_progress WHERE consumer = %s AND stream = %s FOR UPDATE;
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, TypeAlias

from eatool.consuming.events import Event
from eatool.consuming.sequence import Duplicate, Gap, Progress, Subscription, Verdict, judge

#: What a consumer does about an event, on the inbox's connection; it does not commit.
Effect: TypeAlias = Callable[[Event, Verdict], None]

_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS eatool_progress (
        consumer TEXT NOT NULL,
        stream TEXT NOT NULL,
        progress TEXT NOT NULL,
        PRIMARY KEY (consumer, stream)
    ) WITHOUT ROWID
"""


class Inbox:
    """Lets each event of a subscription take effect once.

    Acknowledge a message only after :meth:`receive` has returned: what a crash leaves
    unacknowledged comes again, and is recognised.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        consumer: str = "default",
        subscription: Subscription | None = None,
        accept_gaps: bool = False,
    ) -> None:
        """Use ``connection``, which the effects share.

        ``consumer`` names the set of effects: one that is built anew from a replay has a name,
        and tables, of its own. ``accept_gaps``: process events that come after a gap, instead of
        leaving them to be delivered again.
        """
        self._connection = connection
        self._consumer = consumer
        self._subscription = subscription or Subscription()
        self._accept_gaps = accept_gaps
        connection.execute(_TABLE)
        connection.commit()

    def receive(self, event: Event, effect: Effect) -> Verdict:
        """Process one event, or find that it is none to process.

        ``effect`` runs for new and late events, and after gaps that are accepted. When it raises,
        nothing was stored. After a :class:`~eatool.consuming.sequence.Gap` that is not accepted
        the message must not be acknowledged.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            verdict = judge(self.progress(event.stream), event.sequence, self._subscription)
            if isinstance(verdict, Duplicate) or (
                isinstance(verdict, Gap) and not self._accept_gaps
            ):
                connection.rollback()
                return verdict
            effect(event, verdict)
            connection.execute(
                "INSERT OR REPLACE INTO eatool_progress VALUES (?, ?, ?)",
                (self._consumer, event.stream, str(verdict.after)),
            )
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        return verdict

    def progress(self, stream: str) -> Progress | None:
        """How far this consumer has come in ``stream``; ``None`` if it has seen nothing of it."""
        row = self._connection.execute(
            "SELECT progress FROM eatool_progress WHERE consumer = ? AND stream = ?",
            (self._consumer, stream),
        ).fetchone()
        return Progress.parse(row[0]) if row else None
