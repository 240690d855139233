"""A process that is killed in bursts of commands: ``killed_burst URL NAME``.

Like an operator it hands in everything there is to say, whatever it has said before, and works it
off. Each number is written to standard output when its command is acknowledged. It ends when its
input does.
"""

from __future__ import annotations

import asyncio
import sys

from tests.commands.killed_process import OPTIONS, Recorder
from tests.commands.support import numbered

from eatool.commands.intake import CommandIntake
from eatool.commands.sql import SqlCommandQueue
from eatool.commands.worker import Workers
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

STREAMS, COMMANDS = 32, 480


async def _hand_in(intake: CommandIntake, stream: int) -> None:
    for number in range(stream, COMMANDS, STREAMS):
        await intake.enqueue(numbered(number, STREAMS))
        print(number, flush=True)


async def _main(url: str, name: str) -> None:
    engine = open_engine(url)
    queue = SqlCommandQueue(engine)
    intake, stopping = CommandIntake(queue), asyncio.Event()
    workers = Workers(queue, Recorder(SqlEventStore(engine)), worker=name, options=OPTIONS)
    running = asyncio.create_task(workers.run(stopping))
    await asyncio.gather(*(_hand_in(intake, stream) for stream in range(STREAMS)))
    await asyncio.to_thread(sys.stdin.read)
    stopping.set()
    await running
    intake.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2]))
