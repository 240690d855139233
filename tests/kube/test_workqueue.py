"""The queue's promises: one worker a key, nothing lost, nothing repeated needlessly."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from eatool.kube.workqueue import Backoff, WorkQueue

Process = Callable[[str], Awaitable[None]]


async def drain(queue: WorkQueue[str], process: Process, workers: int = 3) -> None:
    active = 0

    async def counted(key: str) -> None:
        nonlocal active
        active += 1
        try:
            await process(key)
        finally:
            active -= 1

    task = asyncio.create_task(queue.run(counted, workers))
    await asyncio.sleep(0)
    while queue.queued or active:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_key_added_many_times_runs_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    seen: Counter[str] = Counter()

    async def process(key: str) -> None:
        seen[key] += 1

    for _ in range(10):
        queue.add("a")
    queue.add("b")
    assert queue.queued == {"a", "b"}
    await drain(queue, process)
    assert seen == {"a": 1, "b": 1}


async def test_a_key_added_while_it_runs_runs_once_more_and_never_beside_itself() -> None:
    queue: WorkQueue[str] = WorkQueue()
    running = 0
    runs = 0

    async def process(key: str) -> None:
        nonlocal running, runs
        running += 1
        assert running == 1
        runs += 1
        if runs == 1:
            queue.add(key)
            queue.add(key)
        await asyncio.sleep(0.005)
        running -= 1

    queue.add("a")
    await drain(queue, process)
    assert runs == 2


async def test_different_keys_run_side_by_side() -> None:
    queue: WorkQueue[str] = WorkQueue()
    barrier = asyncio.Barrier(3)

    async def process(_key: str) -> None:
        async with asyncio.timeout(2):
            await barrier.wait()

    for key in "abc":
        queue.add(key)
    await drain(queue, process, workers=3)


async def test_a_delayed_key_runs_later_and_the_sooner_request_wins() -> None:
    queue: WorkQueue[str] = WorkQueue()
    done = asyncio.Event()

    async def process(_key: str) -> None:
        done.set()

    queue.add_after("a", 60)
    queue.add_after("a", 0.01)
    queue.add_after("a", 30)
    task = asyncio.create_task(queue.run(process, 1))
    assert not queue.queued
    async with asyncio.timeout(2):
        await done.wait()
    task.cancel()


async def test_an_add_makes_a_pending_delay_moot() -> None:
    queue: WorkQueue[str] = WorkQueue()
    runs = 0

    async def process(_key: str) -> None:
        nonlocal runs
        runs += 1

    queue.add_after("a", 0.02)
    queue.add("a")
    await drain(queue, process)
    await asyncio.sleep(0.04)
    assert not queue.queued
    assert runs == 1


async def test_a_retry_waits_longer_with_each_failure_until_it_succeeds() -> None:
    queue: WorkQueue[str] = WorkQueue(Backoff(base=1, cap=8))
    delays = [queue.retry("a") for _ in range(50)]
    assert 0.5 <= delays[0] <= 1
    assert max(delays) <= 8
    assert max(delays[4:]) > 4
    queue.succeeded("a")
    assert queue.retry("a") <= 1


async def test_stopping_leaves_no_timer_behind() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 0.01)

    async def process(_key: str) -> None:
        pytest.fail("stopped queues process nothing")

    task = asyncio.create_task(queue.run(process, 1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.03)


async def test_a_retry_never_comes_before_the_time_it_was_given() -> None:
    queue: WorkQueue[str] = WorkQueue(Backoff(base=0.01, cap=0.01))
    assert 3.0 <= queue.retry("a", not_before=3.0) <= 3.01
