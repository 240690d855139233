"""A replay sends its part of the log exactly, whoever is killed while it runs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.plugins.mosquitto import Mosquitto
from tests.publishing.replay_process import START, UNTIL
from tests.publishing.subscriber import Subscriber
from tests.publishing.support import Writer, stream, until

from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.progress import Progress, progress
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore


@pytest.fixture
def subscriber(mosquitto: Mosquitto) -> Iterator[Subscriber]:
    subscriber = Subscriber(mosquitto.port, "#")
    yield subscriber
    subscriber.close()


def _replaying(url: str, port: int, folder: Path) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    path = f"{root}{os.pathsep}{root / 'operator'}"
    return subprocess.Popen(
        [sys.executable, "-m", "tests.publishing.replay_process", url, str(port), str(folder)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=root,
    )


async def test_a_replay_that_is_killed_goes_on_and_ends_exactly(
    mosquitto: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    engine = open_engine(url)
    migrate.upgrade(engine)
    store = SqlEventStore(engine)
    checkpoints = SqlCheckpoints(engine)
    await asyncio.to_thread(Writer(store).write, map(stream, range(100)), rounds=12)
    expected = {
        (event.stream_id, event.version, str(event.event_id))
        for event in store.read_stored(after=START, limit=UNTIL - START)
    }

    def done() -> int:
        return progress(checkpoints.cursors("replay/r"), START, UNTIL).done

    process = _replaying(url, mosquitto.port, tmp_path)
    try:
        await until(lambda: done() > 100, 30)  # at 150 a second: three seconds are left
        process.kill()
        process.wait()
        cursors = {each.partition: each.position for each in checkpoints.cursors("replay/r")}
        beyond = sum(
            event.position > cursors[event.partition]
            for event in store.read_stored(after=START, limit=UNTIL - START)
        )
        assert 0 < beyond < UNTIL - START, "the kill proves nothing"
        process = _replaying(url, mosquitto.port, tmp_path)
        assert await asyncio.to_thread(process.wait, 60) == 0
    finally:
        process.kill()
        process.wait()
    assert progress(checkpoints.cursors("replay/r"), START, UNTIL) == Progress(600, 600)
    await until(lambda: subscriber.distinct == UNTIL - START)
    assert set(subscriber.seen) == expected
    repeats = len(subscriber.seen) - len(expected)
    assert repeats <= beyond, "what was written down was sent again"
    counted = sum(each.sent for each in checkpoints.cursors("replay/r"))
    assert len(expected) <= counted <= len(subscriber.seen)
    assert all(message.topic.startswith("again/eatool/v1/dev/") for message in subscriber.messages)
    newest: dict[str, int] = {}
    for stream_id, version, _ in subscriber.seen:
        assert version <= newest.get(stream_id, version - 1) + 1, "out of order"
        newest[stream_id] = max(version, newest.get(stream_id, 0))
    assert checkpoints.destinations() == ["replay/r"], "the live destination is not touched"
    store.close()
    engine.dispose()
