"""What a user would pick instead: ``eventsourcing`` with its own recorders, in safe mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from eventsourcing.persistence import ApplicationRecorder, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore
from sqlalchemy import make_url

from benchmarks.store import workload
from benchmarks.store.checks import check_equal

Run = Callable[[str, int], float]
_THREADS = 16
_NAME = "eventsourcing 9.5"


def singles(database: str) -> Iterator[tuple[str, Run]]:
    """One event per call, one caller."""
    yield _NAME, _runner(_OPENERS[database], 1)


def threaded(database: str) -> Iterator[tuple[str, Run]]:
    """One event per call from 16 threads: it has no asyncio and no group commit."""
    yield f"{_NAME}, {_THREADS} threads", _runner(_OPENERS[database], _THREADS)


def _sqlite(url: str) -> tuple[ApplicationRecorder, Callable[[], None]]:
    path = str(make_url(url).database) + ".peer"
    datastore = SQLiteDatastore(path, lock_timeout=10)
    recorder = SQLiteApplicationRecorder(datastore)
    recorder.create_table()
    with datastore.transaction(commit=False) as cursor:
        cursor.execute("PRAGMA synchronous")
        (synchronous,) = cursor.fetchone()
        check_equal("eventsourcing: PRAGMA synchronous", synchronous, 2)
    return recorder, datastore.close


def _postgres(url: str) -> tuple[ApplicationRecorder, Callable[[], None]]:
    parsed = make_url(url)
    datastore = PostgresDatastore(
        dbname=str(parsed.database),
        host=str(parsed.host),
        port=str(parsed.port),
        user=str(parsed.username),
        password="",
        pool_size=_THREADS,
        max_overflow=2,
    )
    recorder = PostgresApplicationRecorder(datastore)
    recorder.create_table()
    datastore.pool.wait(10)  # all connections made before the measured time
    return recorder, datastore.close


_OPENERS: dict[str, Callable[[str], tuple[ApplicationRecorder, Callable[[], None]]]] = {
    "sqlite": _sqlite,
    "postgresql": _postgres,
}


def _runner(
    opener: Callable[[str], tuple[ApplicationRecorder, Callable[[], None]]], threads: int
) -> Run:
    def run(url: str, events: int) -> float:
        recorder, close = opener(url)
        state = workload.opaque_state()
        work = [
            [
                StoredEvent(stream, number, workload.TYPE, state)
                for number in range(1, events // threads // len(streams) + 1)
                for stream in streams
            ]
            for streams in (workload.uuids(workload.STREAMS_PER_CALLER) for _ in range(threads))
        ]

        def insert(stored: Sequence[StoredEvent]) -> None:
            for event in stored:
                recorder.insert_events([event])

        with ThreadPoolExecutor(threads) as pool, workload.measured() as elapsed:
            list(pool.map(insert, work))
            took = elapsed()
        sent = sum(map(len, work))
        check_equal("eventsourcing: events", recorder.max_notification_id(), sent)
        close()
        return sent / took

    return run
