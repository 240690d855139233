from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from tests.commands.support import command

from eatool.commands.memory import MemoryCommandQueue
from eatool.commands.observing import Verdict
from eatool.commands.port import Command, CommandState, Leased, StoredCommand
from eatool.commands.results import Awaiting, Recorded, Refused, Result, Unchanged
from eatool.commands.worker import Processor, TryLater, WorkerOptions, Workers
from eatool.store.port import StoreUnavailable

DONE = Recorded(version=1, first_position=1, last_position=1)
FAST = WorkerOptions(
    concurrency=4, lease=0.3, poll=0.02, attempts=3, first_pause=0.01, waiting=0.05, time_limit=5
)


class Heard:
    def __init__(self) -> None:
        self.verdicts: list[tuple[str, Verdict]] = []
        self.waits: list[float] = []

    def started(self, aggregate_type: str, waited: float) -> None:
        self.waits.append(waited)

    def ended(self, aggregate_type: str, verdict: Verdict, seconds: float) -> None:
        self.verdicts.append((aggregate_type, verdict))


@pytest.fixture
def queue() -> MemoryCommandQueue:
    return MemoryCommandQueue()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@asynccontextmanager
async def working(
    queue: MemoryCommandQueue,
    process: Callable[[Command], Awaitable[Result]],
    options: WorkerOptions = FAST,
    heard: Heard | None = None,
) -> AsyncIterator[asyncio.Event]:
    stopping = asyncio.Event()
    workers = Workers(queue, as_processor(process), worker="w", options=options, metrics=heard)
    running = asyncio.create_task(workers.run(stopping))
    try:
        yield stopping
    finally:
        stopping.set()
        async with asyncio.timeout(10):
            await running


def as_processor(process: Callable[[Command], Awaitable[Result]]) -> Processor:
    class _Processor:
        async def __call__(self, command: Command) -> Result:
            return await process(command)

    return _Processor()


async def ended(
    queue: MemoryCommandQueue, command_id: UUID, state: CommandState = CommandState.FINISHED
) -> StoredCommand:
    async with asyncio.timeout(10):
        while (found := queue.get(command_id)) is None or found.state is not state:
            await asyncio.sleep(0.005)
    return found


async def test_commands_are_processed_and_counted(queue: MemoryCommandQueue, heard: Heard) -> None:
    async def process(each: Command) -> Result:
        return DONE if each.uid == "0" else Unchanged(version=0)

    wanted = [command(f"server/shop/{number}", uid=str(number)) for number in range(9)]
    async with working(queue, process, heard=heard):
        for each in wanted:
            queue.enqueue(each)
        results = [(await ended(queue, each.id)).result for each in wanted]
    assert results == [DONE, *8 * [Unchanged(version=0)]]
    assert sorted(heard.verdicts) == sorted(
        [("server", Verdict.RECORDED), *8 * [("server", Verdict.UNCHANGED)]]
    )
    assert all(waited >= 0 for waited in heard.waits)


async def test_several_at_once_but_one_of_a_stream(queue: MemoryCommandQueue) -> None:
    active: set[str] = set()
    most = 0

    async def process(each: Command) -> Result:
        nonlocal most
        assert each.stream_id not in active
        active.add(each.stream_id)
        most = max(most, len(active))
        await asyncio.sleep(0.01)
        active.remove(each.stream_id)
        return DONE

    wanted = [
        command(f"server/shop/{number % 6}", generation=None, uid=str(number))
        for number in range(24)
    ]
    for each in wanted:
        queue.enqueue(each)
    async with working(queue, process):
        for each in wanted:
            assert (await ended(queue, each.id)).attempts == 1
    assert most == FAST.concurrency


async def test_an_enqueued_command_is_seen_at_once(queue: MemoryCommandQueue) -> None:
    async def process(_each: Command) -> Result:
        return DONE

    async with working(queue, process, WorkerOptions(poll=3600)):
        await asyncio.sleep(0.05)
        wanted = command()
        await asyncio.to_thread(queue.enqueue, wanted)
        await ended(queue, wanted.id)


async def test_a_fault_is_tried_again_and_then_buried(
    queue: MemoryCommandQueue, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    async def process(_each: Command) -> Result:
        raise ValueError("the secret value\0")

    wanted = command()
    queue.enqueue(wanted)
    async with working(queue, process, heard=heard):
        dead = await ended(queue, wanted.id, CommandState.DEAD)
    assert (dead.attempts, dead.error) == (3, "ValueError: the secret value")
    assert [verdict for _, verdict in heard.verdicts] == [
        Verdict.FAULT, Verdict.FAULT, Verdict.DEAD,
    ]  # fmt: skip
    assert "secret" not in caplog.text


@pytest.mark.parametrize("away", [TryLater("not yet", 0.0), StoreUnavailable("away")])
async def test_what_is_not_the_commands_fault_does_not_count(
    queue: MemoryCommandQueue, monkeypatch: pytest.MonkeyPatch, away: Exception
) -> None:
    monkeypatch.setattr("eatool.commands.worker._AWAY", 0.0)
    left = 10

    async def process(_each: Command) -> Result:
        nonlocal left
        left -= 1
        if left:
            raise away
        return DONE

    wanted = command()
    queue.enqueue(wanted)
    async with working(queue, process):
        assert (await ended(queue, wanted.id)).attempts == 1


async def test_an_attempt_that_hangs_is_a_fault(queue: MemoryCommandQueue) -> None:
    async def process(_each: Command) -> Result:
        await asyncio.sleep(3600)
        return DONE

    wanted = command()
    queue.enqueue(wanted)
    options = WorkerOptions(time_limit=0.01, attempts=1)
    async with working(queue, process, options):
        dead = await ended(queue, wanted.id, CommandState.DEAD)
    assert dead.error is not None
    assert dead.error.startswith("TimeoutError")


async def test_a_command_that_ends_its_workers_is_buried_unprocessed(
    queue: MemoryCommandQueue,
) -> None:
    async def process(_each: Command) -> Result:
        pytest.fail("it was to be buried")

    wanted = command()
    queue.enqueue(wanted)
    for number in range(FAST.attempts):
        assert queue.claim(f"killed-{number}", 0.0, 1)
    async with working(queue, process):
        dead = await ended(queue, wanted.id, CommandState.DEAD)
    assert dead.error == "its worker ended 3 times over it"


async def test_waiting_is_decided_again_by_time(queue: MemoryCommandQueue) -> None:
    looks = 0

    async def process(_each: Command) -> Result:
        nonlocal looks
        looks += 1
        return DONE if looks == 3 else Awaiting(errors=(), missing=("server/shop/db",))

    wanted = command()
    queue.enqueue(wanted)
    async with working(queue, process):
        await ended(queue, wanted.id)
    assert looks == 3


async def test_long_work_keeps_its_lease(queue: MemoryCommandQueue, heard: Heard) -> None:
    async def process(_each: Command) -> Result:
        await asyncio.sleep(3 * FAST.lease)
        return DONE

    wanted = command()
    queue.enqueue(wanted)
    async with working(queue, process, heard=heard):
        assert (await ended(queue, wanted.id)).attempts == 1
    assert heard.verdicts == [("application", Verdict.RECORDED)]


async def test_a_lost_lease_is_said_and_nothing_else(
    queue: MemoryCommandQueue, heard: Heard
) -> None:
    wanted = command()
    queue.enqueue(wanted)
    other: list[Leased] = []

    async def process(_each: Command) -> Result:
        # As if this process had been paused: another one takes over before it goes on.
        queue.renew([Leased(wanted, "w", 1, 1, queue_time)], -1)
        other.extend(queue.claim("other", 60, 1))
        return DONE

    stored = queue.get(wanted.id)
    assert stored is not None
    queue_time = stored.enqueued_at
    async with working(queue, process, heard=heard):
        async with asyncio.timeout(10):
            while not heard.verdicts:
                await asyncio.sleep(0.005)
    assert heard.verdicts == [("application", Verdict.LOST)]
    found = queue.get(wanted.id)
    assert found is not None
    assert found.state is CommandState.RUNNING
    assert queue.finish(other[0], Refused(errors=()))


async def test_stopping_drains(queue: MemoryCommandQueue) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def process(_each: Command) -> Result:
        begun.set()
        await go_on.wait()
        return DONE

    first, second = command(), command("server/shop/b", uid="b")
    queue.enqueue(first)
    async with working(queue, process) as stopping:
        await begun.wait()
        stopping.set()
        await asyncio.sleep(0.02)
        queue.enqueue(second)
        go_on.set()
    states = [found.state for each in (first, second) if (found := queue.get(each.id))]
    assert states == [CommandState.FINISHED, CommandState.QUEUED]


async def test_a_queue_that_is_away_for_a_moment_costs_nothing(
    queue: MemoryCommandQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eatool.commands.worker._AWAY", 0.0)
    finish, failures = queue.finish, 3

    def flaky(leased: Leased, result: Result, *, again_after: float = 60.0) -> bool:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise StoreUnavailable("away")
        return finish(leased, result, again_after=again_after)

    async def process(_each: Command) -> Result:
        return DONE

    monkeypatch.setattr(queue, "finish", flaky)
    wanted = command()
    queue.enqueue(wanted)
    async with working(queue, process):
        assert (await ended(queue, wanted.id)).attempts == 1
