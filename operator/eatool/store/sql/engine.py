"""Engines whose transactions mean what the log needs.

SQLite: WAL, ``synchronous=FULL`` (an acknowledged append survives power loss), foreign keys on,
every transaction starts with ``BEGIN IMMEDIATE``: the driver's deferred ``BEGIN`` fails at once
with *database is locked* when a transaction that has read wants to write. Readers say so
(:func:`reading`) and take no lock.

PostgreSQL: READ COMMITTED whatever the server's default (a statement after the head lock must
see what its previous owner committed), UTC, and limits that keep one hung client from holding
the lock for ever. What the URL's query says wins.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine import URL, make_url

#: How long a writer waits for another one, milliseconds.
LOCK_TIMEOUT_MS: Final = 10_000
#: A client that dies inside a transaction without closing its socket gives up the lock after this.
IDLE_IN_TRANSACTION_MS: Final = 60_000
#: SQLite's page cache per connection: indexes on random ids touch many pages.
CACHE_KIB: Final = 32 * 1024
#: Write-ahead log size (4 KiB pages) that makes a commit pay for a checkpoint.
CHECKPOINT_PAGES: Final = 4000

#: Connections of one process that stay open, and those beyond for a rush; then callers wait.
POOLED: Final = 5
OVERFLOW: Final = 10

_READS = "eatool_reads"
_TURN = "eatool_turn"


class Connections(NamedTuple):
    """Of one engine: those in use, those that wait to be used, and how many there may be."""

    used: int
    idle: int
    limit: int


def open_engine(url: str | URL) -> Engine:
    """Engine for ``sqlite:///path`` or ``postgresql+psycopg://...``; connects lazily.

    ``postgresql://`` means psycopg as well. ``ValueError`` for any other database.
    """
    parsed = make_url(url)
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed)
        case "postgresql":
            return _postgresql(parsed.set(drivername="postgresql+psycopg"))
        case other:
            raise ValueError(f"{other}: the event log needs sqlite or postgresql")


def connections(engine: Engine) -> Connections:
    """How full the pool of an engine of :func:`open_engine` is."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        raise TypeError(f"{type(pool).__name__}: not an engine of open_engine")
    return Connections(pool.checkedout(), pool.checkedin(), POOLED + OVERFLOW)


def lacks_file(engine: Engine) -> bool:
    """Whether connecting would create the database: SQLite makes a file of any path it is given."""
    database = engine.url.database
    return engine.dialect.name == "sqlite" and bool(database) and not Path(str(database)).exists()


def reading(engine: Engine) -> Engine:
    """The same pool for statements that only read: no transaction, no lock, no extra round trip."""
    return engine.execution_options(isolation_level="AUTOCOMMIT", **{_READS: True})


def turn(engine: Engine) -> AbstractContextManager[object]:
    """Held by each writing transaction of this process on SQLite; elsewhere nothing.

    SQLite's own waiting sleeps in steps of up to 100 ms; threads of one process need not. Not
    reentrant: a second transaction of the same thread would wait for the first in any case. Waits
    as long as for another process, and fails like it.
    """
    held: AbstractContextManager[object] | None = engine.get_execution_options().get(_TURN)
    return nullcontext() if held is None else held


class _Turn:
    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=LOCK_TIMEOUT_MS / 1000):
            raise sqlite3.OperationalError("database is locked by this process")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def checkpoint(engine: Engine) -> None:
    """Move SQLite's write-ahead log into the database file and truncate it; else nothing.

    Does not wait for readers or writers: it is for idle moments.
    """
    if engine.dialect.name == "sqlite":
        with reading(engine).connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {LOCK_TIMEOUT_MS}")


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ValueError("sqlite: the event log needs a file; in memory use MemoryEventStore")
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=POOLED,
        max_overflow=OVERFLOW,
        connect_args={"timeout": LOCK_TIMEOUT_MS / 1000},
        execution_options={_TURN: _Turn()},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions start where we say, see begin()
        _enter_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(_READS):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; the busy timeout does not cover two processes that do so at once."""
    deadline = time.monotonic() + LOCK_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _postgresql(url: URL) -> Engine:
    defaults: dict[str, Any] = {
        "application_name": "eatool",
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        "options": " ".join(
            (
                "-c timezone=UTC",
                f"-c lock_timeout={LOCK_TIMEOUT_MS}",
                f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}",
            )
        ),
    }
    return create_engine(
        url,
        isolation_level="READ COMMITTED",
        poolclass=QueuePool,
        pool_size=POOLED,
        max_overflow=OVERFLOW,
        connect_args={key: value for key, value in defaults.items() if key not in url.query},
    )
