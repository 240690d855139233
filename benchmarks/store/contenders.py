"""What is measured. Each contender gets a fresh, migrated database and returns events/s."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
from sqlalchemy import insert, make_url, update

from benchmarks.store import peers, workload
from benchmarks.store.checks import check_log
from eatool.store.appender import GroupCommit
from eatool.store.port import Append
from eatool.store.sql import tables
from eatool.store.sql.engine import CACHE_KIB, CHECKPOINT_PAGES, open_engine
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.postgresql import COPY_EVENTS
from eatool.store.sql.postgresql import INSERT_EVENT as INSERT_POSTGRESQL
from eatool.store.sql.sqlite import INSERT_EVENT as INSERT_SQLITE
from eatool.store.sql.sqlite import event_rows

IN_FLIGHT = (1, 16, 128, 512)

#: ``run(url, events)`` -> events per second.
Run = Callable[[str, int], float]


@dataclass(frozen=True, slots=True)
class Contender:
    """One line of the table. ``in_flight`` 0 means a single caller without group commit."""

    database: str
    name: str
    in_flight: int
    run: Run
    events: int


def contenders(*, quick: bool) -> Iterator[Contender]:
    """Everything, in the order of the table; alternated by the caller."""
    few = 400 if quick else 1500
    many = {1: few, 16: few * 4, 128: few * 10, 512: few * 16}
    for database in ("sqlite", "postgresql"):
        yield Contender(database, "eatool", 0, single, few)
        yield Contender(database, "SQLAlchemy Core", 0, core_single, few)
        yield Contender(database, "raw driver", 0, raw(1), few)
        for name, run in peers.singles(database):
            yield Contender(database, name, 0, run, few)
        for in_flight in IN_FLIGHT:
            yield Contender(database, "eatool", in_flight, grouped(in_flight), many[in_flight])
            if in_flight > 1:
                yield Contender(database, "raw driver", in_flight, raw(in_flight), many[in_flight])
        for name, run in peers.threaded(database):
            yield Contender(database, name, 16, run, few)


def single(url: str, events: int) -> float:
    """One append, one commit, one caller."""
    store = SqlEventStore(open_engine(url))
    appends = list(workload.appends(0, events))
    store.head()  # connected
    with workload.measured() as elapsed:
        for append in appends:
            store.append(append)
        took = elapsed()
    check_log(store, {each.events[0].event_id for each in appends})
    store.close()
    return events / took


def grouped(in_flight: int) -> Run:
    """``in_flight`` coroutines, each waiting for its append before the next."""

    def run(url: str, events: int) -> float:
        store = SqlEventStore(open_engine(url))
        store.head()
        work = [list(workload.appends(n, events // in_flight)) for n in range(in_flight)]

        async def measure() -> float:
            async def caller(appends: list[Append]) -> None:
                for append in appends:
                    await group.append(append)

            with GroupCommit(store) as group, workload.measured() as elapsed:
                await asyncio.gather(*map(caller, work))
                return elapsed()

        took = asyncio.run(measure())
        sent = {append.events[0].event_id for appends in work for append in appends}
        check_log(store, sent)
        store.close()
        return len(sent) / took

    return run


def core_single(url: str, events: int) -> float:
    """The equivalent by hand: insert the event and move the head, in one transaction.

    A stream has no row to update on either side: its version is the newest event's.
    """
    engine = open_engine(url)
    appends = list(workload.appends(0, events))
    insert_event, move_head = insert(tables.event), update(tables.log)
    with workload.measured() as elapsed:
        for position, append in enumerate(appends):
            (event,) = workload.rows_by_hand([append], position)
            row = event._asdict()
            with engine.begin() as connection:
                connection.execute(insert_event, row)
                head = {name: row[name] for name in ("position", "hash", "recorded_at")}
                connection.execute(move_head, head)
        took = elapsed()
    engine.dispose()
    return events / took


def raw(batch: int) -> Run:
    """What one would write by hand: encode, insert, commit, on one connection in one thread.

    The same events, bytes, table and durability as ours; no expected version, no constraints, no
    idempotence, no hash chain, no head row, no callers to answer.
    """

    def run(url: str, events: int) -> float:
        appends = list(workload.appends(0, events))
        batches = [appends[at : at + batch] for at in range(0, events, batch)]
        write = _raw_sqlite if url.startswith("sqlite") else _raw_postgresql
        return events / write(url, batches)

    return run


def _raw_sqlite(url: str, batches: list[list[Append]]) -> float:
    connection = sqlite3.connect(str(make_url(url).database), isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    position = 0
    with workload.measured() as elapsed:
        for batch in batches:
            rows = event_rows(workload.rows_by_hand(batch, position))
            position += len(rows)
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT_SQLITE, rows)
            connection.execute("COMMIT")
        took = elapsed()
    connection.close()
    return took


def _raw_postgresql(url: str, batches: list[list[Append]]) -> float:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    position = 0
    with (
        psycopg.connect(plain) as connection,
        connection.cursor() as cursor,
        workload.measured() as elapsed,
    ):
        for batch in batches:
            rows = workload.rows_by_hand(batch, position)
            position += len(rows)
            if len(rows) == 1:
                cursor.execute(INSERT_POSTGRESQL, rows[0])
            else:
                with cursor.copy(COPY_EVENTS) as copy:
                    for row in rows:
                        copy.write_row(row)
            connection.commit()
        return elapsed()
