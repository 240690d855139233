"""The effects of both example subscribers: a mirror of the registry and its history, in SQLite.

``entities`` holds the newest snapshot of each entity, ``changes`` one row per event, ``gaps`` what
never came. They and the progress of the consumer change in one transaction.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path

from eatool.consuming import Event, Gap, Inbox, Late, NotAnEvent, Subscription, Verdict, decode

TABLES = """
    CREATE TABLE IF NOT EXISTS entities (stream TEXT PRIMARY KEY, entity TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS changes (
        stream TEXT, sequence INTEGER, id TEXT, type TEXT, actor TEXT, time TEXT,
        PRIMARY KEY (stream, sequence));
    CREATE TABLE IF NOT EXISTS gaps (stream TEXT, first INTEGER, last INTEGER);
"""


class Mirror:
    """Takes messages as they come, in any content mode, re-sends included."""

    def __init__(self, database: Path, subscription: Subscription) -> None:
        self._connection = sqlite3.connect(database)
        self._connection.executescript(f"PRAGMA journal_mode = WAL; {TABLES}")
        # Every event holds the whole entity: after a gap the mirror is right again.
        self._inbox = Inbox(self._connection, subscription=subscription, accept_gaps=True)

    def take(self, payload: bytes | bytearray, headers: Mapping[str, object] | None) -> None:
        """Return when the message may be acknowledged; raise when it must come again."""
        try:
            event = decode(payload, headers)
        except NotAnEvent as error:
            print(f"set aside: {error}", file=sys.stderr, flush=True)
            return
        verdict = self._inbox.receive(event, self._apply)
        print(type(verdict).__name__, event.stream, event.sequence, event.type, flush=True)

    def _apply(self, event: Event, verdict: Verdict) -> None:
        execute = self._connection.execute
        if isinstance(verdict, Gap):
            gap = (event.stream, verdict.expected, verdict.got - 1)
            print("missing: {} {} to {}".format(*gap), file=sys.stderr, flush=True)
            execute("INSERT INTO gaps VALUES (?, ?, ?)", gap)
        execute(
            "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)",
            (event.stream, event.sequence, event.id, event.type, event.actor, event.time),
        )
        if isinstance(verdict, Late):
            return  # part of the history, but the mirror knows newer
        if "entity" not in event.data:
            return  # about the registry itself: a step of a rollout
        if event.type.endswith("Deleted"):
            execute("DELETE FROM entities WHERE stream = ?", (event.stream,))
        else:
            entity = json.dumps(event.data["entity"], ensure_ascii=False)
            execute("INSERT OR REPLACE INTO entities VALUES (?, ?)", (event.stream, entity))
