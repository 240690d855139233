"""Worker processes are killed at random: every command has its effect once, streams in order."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
from tests.commands.support import command
from tests.store.stores import DATABASES, database_url

from eatool.commands.port import CommandState
from eatool.commands.results import Recorded
from eatool.commands.sql import SqlCommandQueue
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

STREAMS, COMMANDS, PROCESSES, KILLS = 20, 200, 3, 12


def start(url: str, number: int) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("killed_process.py")
    return subprocess.Popen(
        [sys.executable, script, url, f"w{number}"],
        stdin=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": "operator"},
        cwd=Path(__file__).parents[2],
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def end(process: subprocess.Popen[bytes]) -> int:
    process.communicate(timeout=30)
    return process.returncode


@pytest.mark.parametrize("database", DATABASES)
def test_killed_workers_lose_and_repeat_nothing(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = database_url(database, tmp_path, request)
    engine = open_engine(url)
    queue, chance = SqlCommandQueue(engine), random.Random(4)
    wanted = [
        command(f"application/shop/s{number % STREAMS}", generation=None, payload={"n": number})
        for number in range(COMMANDS)
    ]
    running = [start(url, number) for number in range(PROCESSES)]
    started, kills = PROCESSES, 0
    unsaid = list(wanted)
    deadline = time.monotonic() + 120
    try:
        while unsaid or queue.find(states={CommandState.QUEUED, CommandState.RUNNING}, limit=1):
            assert time.monotonic() < deadline, queue.figures()
            for each in unsaid[:8]:
                queue.enqueue(each)
            del unsaid[:8]
            time.sleep(chance.random() * 0.3)
            if kills < KILLS and queue.figures().finished:
                victim = chance.randrange(PROCESSES)
                kill(running[victim])
                running[victim] = start(url, started)
                started, kills = started + 1, kills + 1
        assert [end(process) for process in running] == [0] * PROCESSES
    finally:
        for process in running:
            kill(process)
    assert kills == KILLS
    check(SqlEventStore(engine), queue, [each.id for each in wanted])
    engine.dispose()


def check(store: SqlEventStore, queue: SqlCommandQueue, wanted: list[object]) -> None:
    commands = queue.find(limit=COMMANDS + 1)
    assert [each.command.id for each in commands] == wanted
    assert {each.state for each in commands} == {CommandState.FINISHED}
    assert any(each.attempts > 1 for each in commands), "no kill met a command that was running"
    effects = defaultdict(list)
    for event in store.read_stored(limit=10 * COMMANDS):
        effects[event.stream_id].append((event.version, event.position))
    for stream_id, recorded in effects.items():
        told = [
            (each.result.version, each.result.last_position)
            for each in commands
            if each.command.stream_id == stream_id and isinstance(each.result, Recorded)
        ]
        # The n-th command of the stream is its n-th event: once each, in order.
        assert told == recorded
    assert sum(map(len, effects.values())) == COMMANDS
