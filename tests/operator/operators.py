"""The operator as a process of its own, as in production: environment in, logs and HTTP out."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

_ROOT = Path(__file__).parents[2]


def until(
    condition: Callable[[], object],
    what: str | Callable[[], str],
    *,
    seconds: float = 60.0,
    pause: float = 0.05,
) -> None:
    """Poll until ``condition`` holds; fails with ``what`` did not happen, asked for at the end."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            told = what if isinstance(what, str) else what()
            pytest.fail(f"did not happen within {seconds:.0f} s: {told}")
        time.sleep(pause)


class Operator:
    """``eatool run`` with the given ``EATOOL_*`` settings (lower-case names)."""

    #: What Python is to run.
    program: Sequence[str] = ("-m", "eatool", "run")

    def __init__(self, kubeconfig: Path, directory: Path, name: str = "operator", **settings: Any):
        self.log_file = directory / f"{name}.log"
        options = {
            "store_url": f"sqlite:///{directory / 'eatool.db'}",
            "reference_retry": 3600,
            "http_host": "127.0.0.1",
            "http_port": 0,
            **settings,
        }
        self.store_url = str(options["store_url"])
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("EATOOL_")},
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": str(_ROOT / "operator"),
            "POD_NAME": name,
            **{f"EATOOL_{key.upper()}": str(value) for key, value in options.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0
        self._port: int | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, without waiting."""
        assert not self.alive
        self._port = None
        self._since = self.log_file.stat().st_size if self.log_file.exists() else 0
        setpriv = shutil.which("setpriv")
        dying_with_us = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*dying_with_us, sys.executable, *self.program],
                env=self.environment,
                stderr=log,
                stdout=log,
            )

    def start_and_wait(self) -> None:
        """Start and wait until it is ready."""
        self.start()
        until(self.ready, "the operator is ready")

    def stop(self) -> None:
        """Ask it to end, and see that it ends well."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(timeout=30) == 0, self.log()[-3000:]

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=30)

    def await_death(self) -> None:
        """Until it has been killed, by whomever."""
        assert self._process is not None
        assert self._process.wait(timeout=90) == -signal.SIGKILL, self.log()[-3000:]

    def log(self) -> str:
        """What it has written since it was first started."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def records(self) -> Iterator[Mapping[str, Any]]:
        """Its log lines as JSON, since its last start."""
        for line in self.log_file.read_bytes()[self._since :].splitlines():
            yield json.loads(line)

    def ready(self) -> bool:
        """What a readiness probe sees."""
        return self.get("/readyz")[0] == 200

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one page; (0, "") while nobody answers."""
        if not self.alive:
            pytest.fail(f"the operator has ended:\n{self.log()[-3000:]}")
        port = self._find_port()
        if port is None:
            return 0, ""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of one series name that carry ``labels``."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    @property
    def http_port(self) -> int:
        """Where it answers since its last start."""
        port = self._find_port()
        assert port is not None
        return port

    def _find_port(self) -> int | None:
        if self._port is None:
            with self.log_file.open() as log:
                log.seek(self._since)
                for line in log:
                    if '"http_port"' in line and line.endswith("\n"):
                        self._port = int(json.loads(line)["http_port"])
        return self._port


@contextmanager
def running(operator: Operator) -> Iterator[Operator]:
    """Ready inside the block, gone after it."""
    operator.start_and_wait()
    try:
        yield operator
    finally:
        if operator.alive:
            operator.stop()
