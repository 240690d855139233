"""Bursts of commands beside bursts of plain appends: the same events, with and without a queue."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4, uuid5

from sqlalchemy import Engine

from benchmarks.store.checks import check_equal, check_log
from eatool.commands.intake import CommandIntake
from eatool.commands.port import Command, Leased, Operation
from eatool.commands.results import Recorded, Result
from eatool.commands.sql import SqlCommandQueue
from eatool.commands.worker import Workers
from eatool.store.appender import LogAppender
from eatool.store.port import Append, Appended, NewEvent, StoreError
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

IN_FLIGHT = (16, 128)
#: Changes of one entity, each on top of the one before.
_EACH = 4


@dataclass(frozen=True, slots=True)
class Pace:
    """``rate``: changes per second; ``p50``, ``p99``: seconds that a caller waits for one."""

    rate: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Burst:
    """``plain``: appended; ``acknowledged``: enqueued; ``completed``: enqueued and recorded."""

    plain: Pace
    acknowledged: Pace
    completed: Pace


def measure(url: str, in_flight: int, changes: int) -> Burst:
    """On a migrated database; so many callers make ``changes`` changes together, each its own."""
    return asyncio.run(_measure(url, in_flight, changes))


async def _measure(url: str, in_flight: int, changes: int) -> Burst:
    engine = open_engine(url)
    store, queue = SqlEventStore(engine), _Watched(engine)
    appender, intake = LogAppender(store), CommandIntake(queue)
    stopping = asyncio.Event()

    async def append(command: Command) -> Appended:
        return await appender.append(_event_of(command))

    async def process(command: Command) -> Result:
        (event,) = (await append(command)).events
        return Recorded(
            version=event.version, first_position=event.position, last_position=event.position
        )

    async def complete(command: Command) -> None:
        ended = queue.ended(command.id)
        await intake.enqueue(command)
        await ended

    try:
        bursts = [_commands(name, in_flight, changes) for name in ("plain", "kept", "recorded")]
        plain = await _paced(append, bursts[0])
        acknowledged = await _paced(intake.enqueue, bursts[1])
        workers = asyncio.create_task(Workers(queue, process, worker="bench").run(stopping))
        await _drained(queue, changes)
        completed = await _paced(complete, bursts[2])
        stopping.set()
        await workers
        _check(store, [each for burst in bursts for caller in burst for each in caller])
        check_equal("commands", queue.figures(quantiles=()).finished, 2 * changes)
    finally:
        intake.close()
        appender.close()
        store.close()
    return Burst(plain, acknowledged, completed)


async def _drained(queue: SqlCommandQueue, changes: int) -> None:
    """Wait until the workers have caught up."""
    while (await asyncio.to_thread(queue.figures, quantiles=())).finished < changes:
        await asyncio.sleep(0.05)


class _Watched(SqlCommandQueue):
    """Tells tasks of one loop when their command has its result."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._loop = asyncio.get_running_loop()
        self._awaited: dict[UUID, asyncio.Future[None]] = {}

    def ended(self, command_id: UUID) -> asyncio.Future[None]:
        """Done when the result is stored; ask before the command is enqueued."""
        return self._awaited.setdefault(command_id, self._loop.create_future())

    def finish_batch(
        self, done: Sequence[tuple[Leased, Result]], *, again_after: float = 60.0
    ) -> list[bool | StoreError]:
        """See the port."""
        answers = super().finish_batch(done, again_after=again_after)
        ids = [leased.command.id for leased, _ in done]
        self._loop.call_soon_threadsafe(self._tell, ids)
        return answers

    def _tell(self, command_ids: Sequence[UUID]) -> None:
        for each in command_ids:
            if each in self._awaited:
                self._awaited.pop(each).set_result(None)


async def _paced(act: Callable[[Command], Awaitable[object]], burst: list[list[Command]]) -> Pace:
    took: list[float] = []

    async def call(commands: list[Command]) -> None:
        for each in commands:
            begun = time.perf_counter()
            await act(each)
            took.append(time.perf_counter() - begun)

    started = time.perf_counter()
    await asyncio.gather(*map(call, burst))
    rate = len(took) / (time.perf_counter() - started)
    took.sort()
    return Pace(rate, took[len(took) // 2], took[len(took) * 99 // 100])


def _commands(name: str, in_flight: int, changes: int) -> list[list[Command]]:
    """A list for each caller."""
    return [
        [_command(f"{name}-{caller}-{n // _EACH}", n % _EACH) for n in range(changes // in_flight)]
        for caller in range(in_flight)
    ]


def _command(name: str, version: int) -> Command:
    spec = {"name": f"Application {name}", "owner": "Checkout", "lifecycle": "active"}
    return Command(
        id=uuid4(),
        stream_id=f"application/default/{name}",
        operation=Operation.APPLY,
        uid=f"uid-{name}",
        generation=None,
        payload={"spec": spec, "version": version},
        actor="jane@example.org",
    )


def _event_of(command: Command) -> Append:
    event = NewEvent(
        event_id=uuid5(command.id, "0"),
        type="ApplicationUpdated.v1",
        data={"entity": command.payload["spec"], "changes": {}},
        metadata={"uid": command.uid, "generation": 1},
        actor=command.actor,
    )
    return Append(command.stream_id, command.payload["version"], (event,))


def _check(store: SqlEventStore, commands: list[Command]) -> None:
    """Nothing is lost or doubled, and each entity's changes are in their order."""
    wanted: defaultdict[str, list[UUID]] = defaultdict(list)
    for each in commands:
        wanted[each.stream_id].append(uuid5(each.id, "0"))
    check_log(store, {event_id for ids in wanted.values() for event_id in ids})
    found: defaultdict[str, list[UUID]] = defaultdict(list)
    after = 0
    while page := store.read_stored(after=after, limit=5_000):
        after = page[-1].position
        for row in page:
            found[row.stream_id].append(row.event_id)
    check_equal("entities whose changes are in order", found == wanted, expected=True)
