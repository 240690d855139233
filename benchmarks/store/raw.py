"""What one would write by hand on the driver, without and with callers to answer.

The same events, bytes, table and durability as ours; no expected version, no constraints, no
idempotence, no hash chain, no head row.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import psycopg
from sqlalchemy import make_url

from benchmarks.store import workload
from eatool.store.port import Append
from eatool.store.sql.engine import CACHE_KIB, CHECKPOINT_PAGES
from eatool.store.sql.postgresql_rows import COPY_EVENTS
from eatool.store.sql.postgresql_rows import INSERT_EVENT as INSERT_POSTGRESQL
from eatool.store.sql.sqlite import INSERT_EVENT as INSERT_SQLITE
from eatool.store.sql.sqlite import event_rows

#: Commits one batch.
_Write = Callable[[list[Append]], None]


def raw(batch: int) -> Callable[[str, int], float]:
    """Batches that are there from the start, in one thread, with nobody to answer."""

    def run(url: str, events: int) -> float:
        appends = list(workload.appends(0, events))
        batches = [appends[at : at + batch] for at in range(0, events, batch)]
        with _opened(url) as write, workload.measured() as elapsed:
            for each in batches:
                write(each)
            return events / elapsed()

    return run


def raw_answering(callers: int) -> Callable[[str, int], float]:
    """The same writes for coroutines, each waiting for its commit before the next append."""

    def run(url: str, events: int) -> float:
        work = [list(workload.appends(n, events // callers)) for n in range(callers)]

        async def measure(write: _Write) -> float:
            loop = asyncio.get_running_loop()
            waiting: list[tuple[Append, asyncio.Future[None]]] = []

            async def call(appends: list[Append]) -> None:
                for append in appends:
                    answer = loop.create_future()
                    waiting.append((append, answer))
                    await answer

            with ThreadPoolExecutor(1) as thread, workload.measured() as elapsed:
                calls = asyncio.gather(*map(call, work))
                while not calls.done():
                    await asyncio.sleep(0)  # until the callers that were answered have run
                    batch = waiting[:]
                    waiting.clear()
                    if batch:
                        await loop.run_in_executor(thread, write, [append for append, _ in batch])
                    for _, answer in batch:
                        answer.set_result(None)
                return elapsed()

        with _opened(url) as write:
            took = asyncio.run(measure(write))
        return sum(map(len, work)) / took

    return run


def _opened(url: str) -> AbstractContextManager[_Write]:
    return _sqlite(url) if url.startswith("sqlite") else _postgresql(url)


@contextmanager
def _sqlite(url: str) -> Iterator[_Write]:
    connection = sqlite3.connect(
        str(make_url(url).database), isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    position = 0

    def write(batch: list[Append]) -> None:
        nonlocal position
        rows = event_rows(workload.rows_by_hand(batch, position))
        position += len(rows)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT_SQLITE, rows)
        connection.execute("COMMIT")

    yield write
    connection.close()


@contextmanager
def _postgresql(url: str) -> Iterator[_Write]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    position = 0
    with psycopg.connect(plain) as connection, connection.cursor() as cursor:

        def write(batch: list[Append]) -> None:
            nonlocal position
            rows = workload.rows_by_hand(batch, position)
            position += len(rows)
            if len(rows) == 1:
                cursor.execute(INSERT_POSTGRESQL, rows[0])
            else:
                with cursor.copy(COPY_EVENTS) as copy:
                    for row in rows:
                        copy.write_row(row)
            connection.commit()

        yield write
