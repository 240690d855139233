"""A real Mosquitto broker of its own for each test: free port, own files, dies with the run.

Without the binary the tests say loudly that they did not run; with
``EATOOL_REQUIRE_MOSQUITTO=1`` they fail.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.plugins.certificates import Certificates

from eatool.demo.broker import find_mosquitto
from eatool.dev.ports import free_port
from eatool.dev.processes import end_with_parent

HINT: Final = "Mosquitto not found: apt-get install mosquitto"


class Mosquitto:
    """One broker process that can be killed, silenced and started again on the same port."""

    def __init__(
        self,
        folder: Path,
        *,
        certificates: Certificates | None = None,
        users: dict[str, str] | None = None,
        acl: str | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        """Write the configuration; ``settings`` are further lines of ``mosquitto.conf``."""
        binary = find_mosquitto()
        if binary is None:
            raise FileNotFoundError(HINT)
        self._binary = binary
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port(None)
        lines = {
            "listener": f"{self.port} 127.0.0.1",
            "allow_anonymous": "true" if users is None else "false",
            "persistence": "true",
            "persistence_location": f"{folder}/",
            "max_inflight_messages": "0",
            "max_queued_messages": "0",
            "log_dest": f"file {folder / 'log'}",
            **({} if os.geteuid() else {"user": "root"}),
            **(settings or {}),
        }
        if certificates is not None:
            lines |= {
                "cafile": str(certificates.ca),
                "certfile": str(certificates.server),
                "keyfile": str(certificates.server_key),
            }
        if users is not None:
            lines["password_file"] = str(self._passwords(users))
        if acl is not None:
            (folder / "acl").write_text(acl)
            lines["acl_file"] = str(folder / "acl")
        self._config = folder / "mosquitto.conf"
        self._config.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._process = subprocess.Popen(
            [self._binary, "-c", self._config],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with_parent(),  # noqa: PLW1509 - one prctl call, takes no lock
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """A polite stop: the broker saves its sessions."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """``kill -9``: the broker saves nothing more."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop politely and start again."""
        self.stop()
        self.start()

    def save(self) -> None:
        """Have sessions and subscriptions written to disk now, and wait for it."""
        file = self._folder / "mosquitto.db"
        before = file.stat().st_mtime_ns if file.exists() else 0
        self._signal(signal.SIGUSR1)
        deadline = time.monotonic() + 10
        while not file.exists() or file.stat().st_mtime_ns == before:
            if time.monotonic() > deadline:
                raise RuntimeError((self._folder / "log").read_text())
            time.sleep(0.02)

    def set_acl(self, acl: str) -> None:
        """Other access rules, for the sessions that are open too; needs some from the start."""
        (self._folder / "acl").write_text(acl)
        self._signal(signal.SIGHUP)

    def silence(self) -> None:
        """The process stops answering, the kernel goes on taking connections and bytes."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a silence."""
        self._signal(signal.SIGCONT)

    def _signal(self, what: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(what)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        # In this order: what is silent does nothing more before it is killed.
        self._process.send_signal(how)
        self._process.send_signal(signal.SIGCONT)
        self._process.wait(timeout=10)
        self._process = None

    def _passwords(self, users: dict[str, str]) -> Path:
        file = self._folder / "passwords"
        file.write_text("".join(f"{name}:{password}\n" for name, password in users.items()))
        hasher = self._binary.parent.parent / "bin" / "mosquitto_passwd"
        subprocess.run([hasher, "-U", file], check=True)
        return file


#: Makes a configured, not yet started broker.
BrokerFactory = Callable[..., Mosquitto]


@pytest.fixture
def make_mosquitto(tmp_path: Path) -> Iterator[BrokerFactory]:
    """Brokers with a test's own settings; all are killed afterwards."""
    if find_mosquitto() is None:
        if os.environ.get("EATOOL_REQUIRE_MOSQUITTO") == "1":
            pytest.fail(HINT)
        pytest.skip(f"NOT RUN: {HINT}")
    made: list[Mosquitto] = []

    def make(
        *,
        certificates: Certificates | None = None,
        users: dict[str, str] | None = None,
        acl: str | None = None,
        settings: dict[str, str] | None = None,
    ) -> Mosquitto:
        folder = tmp_path / f"mosquitto-{len(made)}"
        made.append(
            Mosquitto(folder, certificates=certificates, users=users, acl=acl, settings=settings)
        )
        return made[-1]

    yield make
    for broker in made:
        broker.kill()


@pytest.fixture
def mosquitto(make_mosquitto: BrokerFactory) -> Mosquitto:
    """A running broker without TLS or passwords."""
    broker = make_mosquitto()
    broker.start()
    return broker


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A CA with a server and a client certificate."""
    return Certificates.create(tmp_path_factory.mktemp("certificates"))
