"""Writers and a tailing reader at once: what was seen must be what was committed."""

from __future__ import annotations

import asyncio
import threading
from uuid import UUID

from benchmarks.store import workload
from benchmarks.store.checks import check_equal, check_log
from eatool.store.appender import LogAppender
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

_APPENDERS = 2
_CALLERS = 64


def tailed(url: str, events: int) -> int:
    """Two group-commit appenders compete for the log while a reader tails it; events seen."""
    done = threading.Event()
    seen: list[UUID] = []

    def tail() -> None:
        reader = SqlEventStore(open_engine(url))
        after = 0
        while True:
            finished = done.is_set()
            page = reader.read_stored(after=after)
            if page:
                after = page[-1].position
                seen.extend(row.event_id for row in page)
            elif finished:
                reader.close()
                return

    async def write(first: int) -> list[UUID]:
        sent: list[UUID] = []

        async def caller(number: int) -> None:
            for append in workload.appends(number, events // _APPENDERS // _CALLERS):
                await group.append(append)
                sent.append(append.events[0].event_id)

        store = SqlEventStore(open_engine(url))
        with LogAppender(store) as group:
            await asyncio.gather(*(caller(first + n) for n in range(_CALLERS)))
        store.close()
        return sent

    sent: list[UUID] = []
    writers = [
        threading.Thread(target=lambda n=n: sent.extend(asyncio.run(write(n * _CALLERS))))
        for n in range(_APPENDERS)
    ]
    reader = threading.Thread(target=tail)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    store = SqlEventStore(open_engine(url))
    check_log(store, set(sent))
    check_equal(
        "seen by the tailing reader",
        seen == [row.event_id for row in store.read_stored(limit=events)],
        expected=True,
    )
    store.close()
    return len(seen)
