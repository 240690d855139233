"""The two operators, each a process behind its own counting proxy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eatool.dev.controlplane import ControlPlane
from eatool.dev.faultproxy import FaultProxy

_ROOT = Path(__file__).parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")
_NOOP = Path(__file__).with_name("noop.py")


@dataclass(frozen=True)
class Side:
    """A running operator."""

    process: subprocess.Popen[bytes]
    proxy: FaultProxy

    def cpu(self) -> float:
        """CPU seconds it has used, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def writes(self) -> Counter[str]:
        """Its writing requests since the count was cleared, by kind."""
        counted: Counter[str] = Counter()
        for request in self.proxy.log.requests(resource="servers"):
            if request.verb not in ("get", "list", "watch"):
                suffix = f"/{request.subresource}" if request.subresource else ""
                counted[f"{request.method}{suffix}"] += 1
        return counted


@contextmanager
def eatool(plane: ControlPlane, folder: Path, namespace: str, url: str) -> Iterator[Side]:
    """Our operator on the log at ``url``."""
    environment = {
        "EATOOL_STORE_URL": url,
        "EATOOL_NAMESPACES": namespace,
        "EATOOL_HTTP_HOST": "127.0.0.1",
        "EATOOL_HTTP_PORT": "0",
    }
    command = ["-m", "eatool", "run"]
    with _running(plane, folder, command, environment) as side:
        yield side


@contextmanager
def noop(plane: ControlPlane, folder: Path, namespace: str) -> Iterator[Side]:
    """kopf with handlers that only report."""
    command = ["-m", "kopf", "run", "--standalone", f"--namespace={namespace}", str(_NOOP)]
    with _running(plane, folder, command, {}) as side:
        yield side


@contextmanager
def _running(
    plane: ControlPlane, folder: Path, command: Sequence[str], environment: dict[str, str]
) -> Iterator[Side]:
    folder.mkdir()
    with FaultProxy(plane, folder) as proxy, (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            env={
                **os.environ,
                **environment,
                "KUBECONFIG": str(proxy.kubeconfig),
                "PYTHONPATH": f"{_ROOT / 'operator'}:{_ROOT}",
            },
            stderr=log,
            stdout=log,
        )
        try:
            while not proxy.open_watches(path="servers"):
                if process.poll() is not None:
                    raise RuntimeError((folder / "log").read_text()[-3000:])
                time.sleep(0.05)
            time.sleep(4)  # start-up work and the first comparison are not what is measured
            yield Side(process, proxy)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()  # nothing may go on in the background of the next measurement
                raise
