"""Run the demo as a user does: as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
StartDemo = Callable[..., subprocess.Popen[str]]


def processes_in(directory: Path) -> dict[int, str]:
    """Command lines that name the directory."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(directory).encode() in command:
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


@pytest.fixture
def without_binaries(tmp_path: Path) -> dict[str, str]:
    """A machine on which no control plane was built."""
    (tmp_path / "no-cache").mkdir()
    return {"EATOOL_CACHE": str(tmp_path / "no-cache"), "KUBEBUILDER_ASSETS": ""}


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[StartDemo]:
    """Start ``eatool demo`` in a directory; whatever it leaves is stopped after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "eatool", "demo", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    home = tmp_path / "demo"
    if home.is_dir():
        stop_demo(home)


def stop_demo(home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "eatool", "demo", "--stop", str(home)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
