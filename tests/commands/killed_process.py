"""A process of workers that is killed at random moments: ``killed_process URL NAME``.

It ends when its input does.

Its processor does what the real one does: it decides on the state of the stream and appends with
ids that follow from the command.
"""

from __future__ import annotations

import asyncio
import random
import sys
from uuid import uuid5

from eatool.commands.port import Command
from eatool.commands.results import Recorded, Result
from eatool.commands.sql import SqlCommandQueue
from eatool.commands.worker import WorkerOptions, Workers
from eatool.store.port import Append, AppendRefused, NewEvent
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

OPTIONS = WorkerOptions(
    concurrency=8, lease=0.6, poll=0.05, attempts=50, first_pause=0.01, longest_pause=0.05
)


class Recorder:
    """One event for each command."""

    def __init__(self, store: SqlEventStore) -> None:
        self._store = store

    async def __call__(self, command: Command) -> Result:
        result = await asyncio.to_thread(self._record, command)
        # The worst moment to be killed: it is done, and not yet said.
        await asyncio.sleep(random.random() * 0.1)
        return result

    def _record(self, command: Command) -> Result:
        stream = self._store.read_stream(command.stream_id)
        wanted = uuid5(command.id, "0")
        done = next((event for event in stream if event.event_id == wanted), None)
        while done is None:
            event = NewEvent(
                event_id=wanted,
                type="ApplicationCreated.v1",
                data={"entity": dict(command.payload)},
                metadata={"uid": command.uid, "generation": 1},
                actor=command.actor,
            )
            try:
                (done,) = self._store.append(
                    Append(command.stream_id, len(stream), (event,))
                ).events
            except AppendRefused:
                stream = self._store.read_stream(command.stream_id)
        return Recorded(
            version=done.version, first_position=done.position, last_position=done.position
        )


async def _main(url: str, name: str) -> None:
    engine = open_engine(url)
    queue = SqlCommandQueue(engine)
    stopping = asyncio.Event()
    workers = Workers(queue, Recorder(SqlEventStore(engine)), worker=name, options=OPTIONS)
    running = asyncio.create_task(workers.run(stopping))
    await asyncio.to_thread(sys.stdin.read)
    stopping.set()
    await running


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2]))
