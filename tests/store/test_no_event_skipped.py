"""The proof: writers race, pause, roll back and are killed; every tailing reader sees it all."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import defaultdict
from pathlib import Path

import pytest
from tests.store import proof
from tests.store.stores import DATABASES, database_url

from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore
from eatool.store.verify import verify_chain

WRITERS, READERS, SECONDS = 4, 2, 5.0
KILLED = 2


@pytest.mark.parametrize("database", DATABASES)
def test_seen_is_committed(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = database_url(database, tmp_path, request)
    spawn = multiprocessing.get_context("spawn")
    halt, stop = tmp_path / "halt", tmp_path / "stop"
    journals = [tmp_path / f"writer{number}" for number in range(WRITERS + KILLED)]
    seen = [tmp_path / f"reader{number}" for number in range(READERS)]
    readers = [spawn.Process(target=proof.tail, args=(url, stop, path)) for path in seen]
    writers = [
        spawn.Process(target=proof.write, args=(url, number, halt, path))
        for number, path in enumerate(journals)
    ]
    everyone = readers + writers
    try:
        for process in everyone:
            process.start()
        wait_for_activity(journals)
        until = time.monotonic() + SECONDS
        for victim in writers[:KILLED]:
            time.sleep(random.uniform(0.2, 1.0))  # any moment will do
            victim.kill()
        time.sleep(max(0.0, until - time.monotonic()))
        halt.touch()
        for process in writers:
            process.join(60)
        stop.touch()
        for process in readers:
            process.join(60)
    finally:
        for process in everyone:
            process.kill()
    assert [process.exitcode for process in readers] == [0] * READERS
    assert [process.exitcode for process in writers] == [-9] * KILLED + [0] * WRITERS

    store = SqlEventStore(open_engine(url))
    recorded = store.read_all(limit=1_000_000)
    report = verify_chain(store)
    store.close()
    committed = [f"{e.position} {e.stream_id} {e.version} {e.event_id}" for e in recorded]
    assert len(committed) > 100
    for path in seen:
        assert path.read_text().splitlines() == committed
    assert report.sound, report.fault
    assert [each.position for each in recorded] == list(range(1, len(recorded) + 1))
    check_streams(committed)
    check_journals(journals, {str(each.event_id) for each in recorded})


def wait_for_activity(journals: list[Path]) -> None:
    """Until every writer has written something."""
    deadline = time.monotonic() + 60
    while not all(path.exists() and path.stat().st_size for path in journals):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check_streams(committed: list[str]) -> None:
    versions: dict[str, list[int]] = defaultdict(list)
    for line in committed:
        _, stream, version, _ = line.split()
        versions[stream].append(int(version))
    for found in versions.values():
        assert found == list(range(1, len(found) + 1))


def check_journals(journals: list[Path], recorded: set[str]) -> None:
    entries = [line.split() for path in journals for line in path.read_text().splitlines()]
    acknowledged = {each for sign, each in entries if sign == "+"}
    rolled_back = {each for sign, each in entries if sign == "-"}
    assert rolled_back
    assert acknowledged <= recorded
    assert not rolled_back & recorded
