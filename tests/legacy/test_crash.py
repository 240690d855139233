"""An import that is killed is finished by the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.legacy.registry import old_registry
from tests.store.stores import DATABASES

from eatool.store.port import StoreUnavailable
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

OPERATOR = Path(__file__).parents[2] / "operator"
CODE = "from eatool.rollout.import_cli import legacy; legacy()"


def recorded(store: SqlEventStore) -> int:
    try:
        return store.head().position
    except StoreUnavailable:
        return 0


@pytest.mark.parametrize("database", DATABASES)
def test_a_killed_import_goes_on_where_it_was(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    old = old_registry(database, tmp_path, request, 0.1)
    old.run("adopt")
    sound = old.built.total - len(old.built.refused)
    store = SqlEventStore(open_engine(old.url))
    seen = []
    for stop_at in (1, sound // 3, sound * 2 // 3):
        process = subprocess.Popen(
            [sys.executable, "-c", CODE, "import", "--store", old.url],
            env={**os.environ, "PYTHONPATH": str(OPERATOR)},
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while recorded(store) < stop_at and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        seen.append(recorded(store))
    assert 0 < seen[0] < sound
    assert seen == sorted(seen)

    assert old.run("import").exit_code == 1
    streams = Counter(event.stream_id for event in store.read_all(limit=10 * sound))
    store.close()
    assert len(streams) == sound
    assert set(streams.values()) == {1}
