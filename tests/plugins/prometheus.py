"""A real Prometheus that scrapes what a test tells it to."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from eatool.dev.ports import free_port
from eatool.rollout.prometheus import Prometheus
from eatool.rollout.samples import NoAnswer

#: Starts one that scrapes 127.0.0.1 at a port each second, or itself; returns its URL.
PrometheusFactory = Callable[[int | None], str]

_CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - {{job_name: scraped, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}
"""


@pytest.fixture(scope="session")
def prometheus_binary() -> Path:
    """``prometheus`` on PATH."""
    found = shutil.which("prometheus")
    if found is None:
        reason = "NOT RUN: no prometheus; run `make packages`"
        if os.environ.get("EATOOL_REQUIRE_PROMETHEUS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(found)


@pytest.fixture(scope="module")
def make_prometheus(
    prometheus_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusFactory]:
    """Ended with the module."""
    with ExitStack() as running:

        def make(scraped: int | None) -> str:
            folder = tmp_path_factory.mktemp("prometheus")
            return running.enter_context(_started(prometheus_binary, folder, scraped))

        yield make


@contextmanager
def _started(binary: Path, folder: Path, scraped: int | None) -> Iterator[str]:
    port = free_port(None)
    config = folder / "prometheus.yml"
    config.write_text(_CONFIG.format(port=scraped or port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}/"
    asked = Prometheus(url)
    try:
        deadline = time.monotonic() + 90
        while not _scrapes(asked):
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.2)
        yield url
    finally:
        asked.close()
        process.terminate()
        process.wait(30)


def _scrapes(prometheus: Prometheus) -> bool:
    try:
        return prometheus.query("up") == 1.0
    except NoAnswer:
        return False
