"""A process is killed in bursts: what was acknowledged is processed, once and in order."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid5

import pytest
from tests.commands.killed_burst import COMMANDS, STREAMS
from tests.commands.support import numbered
from tests.store.stores import DATABASES, database_url

from eatool.commands.port import CommandState
from eatool.commands.sql import SqlCommandQueue
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

KILLS = 4


def start(url: str, name: str) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.commands.killed_burst", url, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": f"{root / 'operator'}:{root}"},
        cwd=root,
    )


def heard(process: subprocess.Popen[bytes], count: int) -> list[int]:
    """The first ``count`` numbers that it acknowledges."""
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(count)]


def kill(process: subprocess.Popen[bytes]) -> list[int]:
    """What it had acknowledged beyond that."""
    process.kill()
    rest, _ = process.communicate()
    whole, _, _ = rest.rpartition(b"\n")
    return [int(line) for line in whole.split()]


@pytest.mark.parametrize("database", DATABASES)
def test_an_acknowledged_command_survives_its_process(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = database_url(database, tmp_path, request)
    engine = open_engine(url)
    queue, store, chance = SqlCommandQueue(engine), SqlEventStore(engine), random.Random(9)
    for attempt in range(KILLS):
        process = start(url, f"killed-{attempt}")
        try:
            acknowledged = heard(process, chance.randrange(1, COMMANDS - 2 * STREAMS))
        finally:
            acknowledged += kill(process)
        stored = queue.states([numbered(each, STREAMS).id for each in acknowledged])
        assert len(stored) == len(acknowledged), "an acknowledged command is lost"
    process = start(url, "last")
    try:
        assert sorted(heard(process, COMMANDS)) == list(range(COMMANDS))
        deadline = time.monotonic() + 120
        while queue.figures().finished < COMMANDS:
            assert time.monotonic() < deadline, queue.figures()
            time.sleep(0.1)
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        process.kill()
    commands = queue.find(limit=COMMANDS + 1)
    assert {each.state for each in commands} == {CommandState.FINISHED}
    for stream in range(STREAMS):
        wanted = [numbered(each, STREAMS) for each in range(stream, COMMANDS, STREAMS)]
        stream_id = wanted[0].stream_id
        assert [each.command for each in commands if each.command.stream_id == stream_id] == wanted
        recorded = [each.event_id for each in store.read_stream(stream_id)]
        assert recorded == [uuid5(each.id, "0") for each in wanted]
    engine.dispose()
