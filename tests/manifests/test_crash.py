"""A run that is killed and repeated records each manifest once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from click.testing import CliRunner
from tests.manifests.documents import documents, manifest

from eatool.manifests.cli import apply
from eatool.store.port import StoreUnavailable
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

MANIFESTS = 1_500
OPERATOR = Path(__file__).parents[2] / "operator"


def recorded(store: SqlEventStore) -> int:
    try:
        return store.head().position
    except StoreUnavailable:  # not migrated yet
        return 0


def test_a_killed_run_is_finished_by_the_next_one(tmp_path: Path) -> None:
    file, url = tmp_path / "servers.yaml", f"sqlite:///{tmp_path / 'registry.db'}"
    specs = (
        {"hostname": f"h{index}", "environment": "prod", "criticality": "low"}
        for index in range(MANIFESTS)
    )
    file.write_text(
        documents(*(manifest("Server", f"s{index}", spec) for index, spec in enumerate(specs)))
    )
    arguments = ["-f", str(file), "--store", url]
    code = "from eatool.manifests.cli import apply; apply()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(OPERATOR)},
        stdout=subprocess.DEVNULL,
    )
    store = SqlEventStore(open_engine(url))
    deadline = time.monotonic() + 60
    while not recorded(store) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = recorded(store)
    assert 0 < before < MANIFESTS

    result = CliRunner().invoke(apply, arguments)
    assert result.exit_code == 0
    assert f"{MANIFESTS - before} recorded, {before} unchanged" in result.output
    streams = Counter(event.stream_id for event in store.read_all(limit=2 * MANIFESTS))
    store.close()
    assert len(streams) == MANIFESTS
    assert set(streams.values()) == {1}
