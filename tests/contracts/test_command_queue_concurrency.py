"""The command queue under several processes' worth of threads, each with its own connections."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.commands.support import command
from tests.store.stores import DATABASES, database_url

from eatool.commands.port import CommandState, Known, Leased, Queued
from eatool.commands.results import Recorded
from eatool.commands.sql import SqlCommandQueue
from eatool.store.port import InvalidEvent
from eatool.store.sql.engine import open_engine

THREADS = 6
DONE = Recorded(version=1, first_position=1, last_position=1)


@pytest.fixture(params=DATABASES)
def queues(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[SqlCommandQueue]]:
    url = database_url(request.param, tmp_path, request)
    engines = [open_engine(url) for _ in range(THREADS)]
    yield [SqlCommandQueue(engine) for engine in engines]
    for engine in engines:
        engine.dispose()


def test_the_newest_generation_wins_whoever_comes_first(queues: list[SqlCommandQueue]) -> None:
    wanted = [command(generation=number) for number in range(1, 19)]

    def enqueue(number: int) -> None:
        for each in wanted[number::THREADS]:
            queues[number].enqueue(each)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(enqueue, range(THREADS)))
    states = {each.command.generation: each.state for each in queues[0].find()}
    assert states.pop(18) is CommandState.QUEUED
    assert set(states.values()) == {CommandState.SUPERSEDED}


def test_one_id_is_enqueued_once_by_all_together(queues: list[SqlCommandQueue]) -> None:
    wanted, together = command(), threading.Barrier(THREADS)

    def enqueue(queue: SqlCommandQueue) -> Queued | Known:
        together.wait()
        return queue.enqueue(wanted)

    with ThreadPoolExecutor(THREADS) as pool:
        answers = Counter(type(each) for each in pool.map(enqueue, queues))
    assert answers == {Queued: 1, Known: THREADS - 1}


def test_no_stream_is_given_to_two(queues: list[SqlCommandQueue]) -> None:
    streams, each_has = 8, 4
    for number in range(streams * each_has):
        queues[0].enqueue(command(f"server/shop/{number % streams}", generation=None))
    held: set[str] = set()
    lock = threading.Lock()

    def take(leased: Leased) -> None:
        with lock:
            assert leased.command.stream_id not in held
            held.add(leased.command.stream_id)

    def work(queue: SqlCommandQueue) -> int:
        done = 0
        while queue.figures().finished < streams * each_has:
            for leased in queue.claim(str(id(queue)), 60, 3):
                take(leased)
                with lock:
                    held.remove(leased.command.stream_id)
                assert queue.finish(leased, DONE)
                done += 1
        return done

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(work, queues)) == streams * each_has


def test_what_cannot_be_stored_is_said(queues: list[SqlCommandQueue]) -> None:
    with pytest.raises(InvalidEvent, match="cannot be stored"):
        queues[0].enqueue(command(payload={"spec": {"name": "\ud800"}}))
