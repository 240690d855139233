"""What is measured. Each contender gets a fresh, migrated database and returns events/s."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import insert, update

from benchmarks.store import peers, workload
from benchmarks.store.checks import check_log
from benchmarks.store.raw import raw, raw_answering
from eatool.store.appender import LogAppender
from eatool.store.port import Append
from eatool.store.sql import tables
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

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
                events = many[in_flight]
                yield Contender(database, "eatool, batches", in_flight, batched(in_flight), events)
                yield Contender(database, "raw driver", in_flight, raw(in_flight), events)
                answering = raw_answering(in_flight)
                yield Contender(database, "raw driver, callers", in_flight, answering, events)
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


def batched(batch: int) -> Run:
    """Batches that are there from the start, in one thread, like the raw driver's."""

    def run(url: str, events: int) -> float:
        store = SqlEventStore(open_engine(url))
        store.head()
        appends = list(workload.appends(0, events))
        batches = [
            [(append,) for append in appends[at : at + batch]] for at in range(0, events, batch)
        ]
        with workload.measured() as elapsed:
            for each in batches:
                store.append_batch(each)
            took = elapsed()
        check_log(store, {each.events[0].event_id for each in appends})
        store.close()
        return events / took

    return run


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

            with LogAppender(store) as group, workload.measured() as elapsed:
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
