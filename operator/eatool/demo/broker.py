"""A real MQTT broker on a port of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from eatool.demo.failing import DemoError
from eatool.demo.starting import await_port
from eatool.dev.ports import free_port
from eatool.dev.processes import Server

_PLACES: Final = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
_STOP_SECONDS: Final = 5.0
_NONE: Final = (
    "no MQTT broker on this machine: `apt-get install mosquitto`, or `pip install amqtt`, "
    "which is a slower one in Python"
)


@dataclass(frozen=True, slots=True)
class _Choice:
    product: str
    command: list[str]
    config: str
    parameters: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)


class MqttBroker:
    """Mosquitto, or where there is none the Python broker amqtt; everything in ``directory``.

    Attributes:
        name: of its EventBroker.
        product: what it is, for people.
        manifest: file of ``examples/brokers`` that declares it.
        url, address: where it listens, for ``eatool apply`` and for an EventBroker.
        spec: what its EventBroker says beside the manifest.

    """

    manifest: Final = "mosquitto.yaml"

    def __init__(self, directory: Path, name: str = "mosquitto", *, lasting: bool = False) -> None:
        """With ``lasting`` it saves sessions all the time, so that they outlast ``kill -9``."""
        self.name = name
        self.product = ""
        self.port = 0
        self.url = ""
        self.spec: Mapping[str, Any] = {}
        self.lasting = lasting
        self._directory = directory
        self._server = Server(name, directory)

    @property
    def address(self) -> str:
        """For an EventBroker."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self, *, die_with_parent: bool) -> None:
        """Start it and wait until it takes connections; :class:`DemoError` when it does not."""
        self.port = self.port or free_port(None)
        config = self._directory / f"{self.name}.conf"
        choice = self._mosquitto(config) or _amqtt(config, self.port)
        if choice is None:
            raise DemoError(_NONE)
        config.write_text(choice.config)
        self.product, self.spec = choice.product, choice.spec
        self.url = f"{self.address}{choice.parameters}"
        self._server.spawn(choice.command, die_with_parent=die_with_parent)
        await_port(self.port, self._server, self.product)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.pid is not None

    @property
    def pid(self) -> int | None:
        """Its process id, if it runs."""
        return self._server.pid

    def stop(self) -> bool:
        """End it; false if it did not run."""
        return self._server.stop(_STOP_SECONDS)

    def kill(self) -> None:
        """``kill -9``; :meth:`start` gives it the same port."""
        self._server.kill()

    def _mosquitto(self, config: Path) -> _Choice | None:
        binary = find_mosquitto()
        if binary is None:
            return None
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "max_queued_messages 0",  # no limit
            "log_dest stdout",
        ]
        if self.lasting:
            folder = self._directory / f"{self.name}-sessions"
            folder.mkdir(exist_ok=True)
            lines += ["persistence true", f"persistence_location {folder}/"]
            lines += ["autosave_on_changes true", "autosave_interval 1"]
        if os.geteuid() == 0:
            lines.append("user root")  # else it gives up its rights, to this directory too
        command = [str(binary), "-c", str(config)]
        return _Choice("Mosquitto", command, "\n".join(lines) + "\n")


def find_mosquitto() -> Path | None:
    """The broker's binary; Debian keeps it where only root's PATH looks."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:{_PLACES}")
    return None if found is None else Path(found)


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
        {"mqtt": {"version": "3.1.1"}},
    )
