"""Group commit: who gets which outcome, and what happens when the store does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.store.support import append

from eatool.store.appender import LogAppender
from eatool.store.batch import Encoded
from eatool.store.memory import MemoryEventStore
from eatool.store.port import (
    EventTooLarge,
    Outcome,
    StoreError,
    StoreUnavailable,
    WrongExpectedVersion,
)
from eatool.store.sql.log import SqlEventStore


class Gate:
    """A store whose commits wait for permission; counts batches."""

    def __init__(self) -> None:
        self.store = MemoryEventStore()
        self.open = threading.Event()
        self.entered = threading.Event()
        self.sizes: list[int] = []
        self.failure: Exception | None = None

    def append_encoded(self, batch: Sequence[Encoded | StoreError]) -> list[Outcome]:
        self.entered.set()
        assert self.open.wait(10)
        self.sizes.append(len(batch))
        if self.failure is not None:
            raise self.failure
        return self.store.append_encoded(batch)

    def tidy(self) -> None:
        """Nothing."""


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def group(gate: Gate) -> Iterator[LogAppender]:
    appender = LogAppender(gate, max_batch=8, max_waiting=16)
    yield appender
    gate.open.set()
    appender.close()


async def test_a_batch_is_what_queued_during_the_last_commit(
    gate: Gate, group: LogAppender
) -> None:
    first = asyncio.create_task(group.append(append("a", 0)))
    await asyncio.to_thread(gate.entered.wait, 10)
    others = [asyncio.create_task(group.append(append(f"s{n}", 0))) for n in range(10)]
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(first, *others)
    assert gate.sizes == [1, 8, 2]


async def test_each_caller_gets_its_own_outcome(gate: Gate, group: LogAppender) -> None:
    gate.open.set()
    results = await asyncio.gather(
        *(group.append(append("a", version)) for version in (0, 0, 1)), return_exceptions=True
    )
    assert [type(each).__name__ for each in results] == [
        "Appended",
        "WrongExpectedVersion",
        "Appended",
    ]


async def test_what_cannot_be_stored_is_refused_at_once(group: LogAppender) -> None:
    with pytest.raises(EventTooLarge):
        await group.append(append("a", 0, 101))
    with pytest.raises(EventTooLarge):
        group.submit(append("a", 0, 101)).result(0)


async def test_a_failing_store_fails_those_callers_only(gate: Gate, group: LogAppender) -> None:
    gate.open.set()
    for failure in (StoreUnavailable("away"), RuntimeError("a defect")):
        gate.failure = failure
        with pytest.raises(type(failure)):
            await group.append(append("a", 0))
        with pytest.raises(type(failure)):
            group.submit(append("a", 0)).result(10)
    gate.failure = None
    assert (await group.append(append("a", 0))).events


async def test_callers_wait_for_room(gate: Gate, group: LogAppender) -> None:
    tasks = [asyncio.create_task(group.append(append(f"s{n}", 0))) for n in range(60)]
    await asyncio.to_thread(gate.entered.wait, 10)
    gate.open.set()
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
    assert gate.store.head().position == 60


def test_threads_wait_for_room(gate: Gate, group: LogAppender) -> None:
    gate.open.set()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda n: group.submit(append(f"s{n}", 0)), range(60)))
    assert {each.result(10).events[0].version for each in done} == {1}


async def test_a_cancelled_caller_does_not_disturb_the_others(
    gate: Gate, group: LogAppender
) -> None:
    hurried = asyncio.create_task(group.append(append("a", 0)))
    patient = asyncio.create_task(group.append(append("b", 0)))
    await asyncio.to_thread(gate.entered.wait, 10)
    hurried.cancel()
    gate.open.set()
    assert (await patient).events[0].stream_id == "application/shop/b"


async def test_closing_commits_what_is_queued(gate: Gate) -> None:
    appender = LogAppender(gate)
    tasks = [asyncio.create_task(appender.append(append(f"s{n}", 0))) for n in range(5)]
    await asyncio.to_thread(gate.entered.wait, 10)
    gate.open.set()
    await asyncio.to_thread(appender.close)
    await asyncio.gather(*tasks)
    with pytest.raises(StoreUnavailable):
        await appender.append(append("z", 0))
    with pytest.raises(StoreUnavailable):
        appender.submit(append("z", 0))
    appender.close()


async def test_on_a_database(log: SqlEventStore) -> None:
    with LogAppender(log) as group:
        appended = await asyncio.gather(*(group.append(append(f"s{n}", 0)) for n in range(200)))
        with pytest.raises(WrongExpectedVersion):
            await group.append(append("s0", 0))
    assert sorted(each.events[0].position for each in appended) == list(range(1, 201))
    log.tidy()
