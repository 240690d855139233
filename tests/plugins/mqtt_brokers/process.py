"""One server process on loopback ports: start, wait until it answers, kill, start again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from eatool.dev.processes import end_with_parent

_ADDRESS: Final = "127.0.0.1"
#: A child dies with the *thread* that started it, so one thread lives as long as the run.
_SPAWNER: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="broker-spawner")


class BrokerProcess:
    """A command, the ports it will open, and a folder for its output."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str | Path],
        ports: Collection[int],
        *,
        environment: Mapping[str, str] | None = None,
        ready: str = "",
        patience: float = 10.0,
    ) -> None:
        """``ready``: what it writes when open ports are not all; ``patience`` in seconds."""
        folder.mkdir(parents=True, exist_ok=True)
        self._ports = ports
        self._folder = folder
        self._command = command
        self._environment = environment or {}
        self._ready = ready
        self._patience = patience
        self._output = folder / "output"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Started, and not ended since."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return when it is ready and every port open; RuntimeError with the log's end if not."""
        before = self._output.stat().st_size if self._output.exists() else 0
        self._process = _SPAWNER.submit(self._spawn).result()
        deadline = time.monotonic() + self._patience
        while not self._answers(before):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self._command[0]} does not answer:\n{self._log_end()}")
            time.sleep(0.02)

    def send_signal(self, what: signal.Signals) -> None:
        """To the process itself."""
        assert self._process is not None
        self._process.send_signal(what)

    def kill(self) -> None:
        """``kill -9``, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._output.open("ab") as output:
            return subprocess.Popen(
                self._command,
                cwd=self._folder,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent(),  # noqa: PLW1509 - one prctl call, takes no lock
            )

    def _answers(self, before: int) -> bool:
        said = self._output.read_bytes()[before:].decode(errors="replace")
        return self._ready in said and all(map(_is_open, self._ports))

    def _log_end(self) -> str:
        return "\n".join(self._output.read_text(errors="replace").splitlines()[-15:])


def _is_open(port: int) -> bool:
    try:
        socket.create_connection((_ADDRESS, port), timeout=1).close()
    except OSError:
        return False
    return True
