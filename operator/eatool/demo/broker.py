"""A real MQTT broker on a port of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from eatool.demo.failing import DemoError
from eatool.dev.ports import free_port
from eatool.dev.processes import Server

_PLACES = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
_START_SECONDS = 15.0
_STOP_SECONDS = 5.0
_NONE = (
    "no MQTT broker on this machine: `apt-get install mosquitto`, or `pip install amqtt`, "
    "which is a slower one in Python"
)


@dataclass(frozen=True, slots=True)
class _Choice:
    name: str
    command: list[str]
    config: str
    parameters: str = ""


class Broker:
    """Mosquitto, or where there is none the Python broker amqtt; everything in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._server = Server("broker", directory)
        self._directory = directory
        self.name = ""
        self.port = 0
        self.url = ""

    def start(self, *, die_with_parent: bool) -> None:
        """Start it and wait until it takes connections; :class:`DemoError` when it does not."""
        self.port = free_port(None)
        config = self._directory / "broker.conf"
        choice = _mosquitto(config, self.port) or _amqtt(config, self.port)
        if choice is None:
            raise DemoError(_NONE)
        config.write_text(choice.config)
        self.name = choice.name
        self.url = f"mqtt://127.0.0.1:{self.port}{choice.parameters}"
        self._server.spawn(choice.command, die_with_parent=die_with_parent)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._server.pid is None or time.monotonic() > deadline:
                raise DemoError(f"{self.name} did not start:\n{self._server.log_tail()}")
            time.sleep(0.02)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._server.pid is not None

    def stop(self) -> bool:
        """End it; false if it did not run."""
        return self._server.stop(_STOP_SECONDS)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def find_mosquitto() -> Path | None:
    """The broker's binary; Debian keeps it where only root's PATH looks."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:{_PLACES}")
    return None if found is None else Path(found)


def _mosquitto(config: Path, port: int) -> _Choice | None:
    binary = find_mosquitto()
    if binary is None:
        return None
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "max_queued_messages 0",  # no limit
        "log_dest stdout",
    ]
    if os.geteuid() == 0:
        lines.append("user root")  # else it gives up its rights, to this directory too
    return _Choice("Mosquitto", [str(binary), "-c", str(config)], "\n".join(lines) + "\n")


def _amqtt(config: Path, port: int) -> _Choice | None:
    if importlib.util.find_spec("amqtt") is None:
        return None
    document = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {
            "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
        },
    }
    return _Choice(
        "amqtt, a broker in Python (Mosquitto is not installed)",
        [sys.executable, "-m", "amqtt.scripts.broker_script", "-c", str(config)],
        yaml.safe_dump(document),
        "?version=3.1.1",
    )
