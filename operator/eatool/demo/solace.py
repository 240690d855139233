"""The stand-in of a Solace broker, with what its subscribers find there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from eatool.demo.starting import await_port
from eatool.dev.ports import free_port
from eatool.dev.processes import Server

_STOP_SECONDS: Final = 5.0

#: Queue -> the topics it attracts.
QUEUES: Final = {"everything": "eatool/>", "applications": "eatool/v1/dev/application/>"}


class SolaceStandIn:
    """``eatool dev solace`` with a spool, so that what it acknowledged outlasts ``kill -9``.

    Attributes as of :class:`~eatool.demo.broker.MqttBroker`.
    """

    name: Final = "solace"
    product: Final = "stand-in of a Solace broker for the real client library"
    manifest: Final = "solace.yaml"
    spec: Final[Mapping[str, Any]] = {}

    def __init__(self, directory: Path) -> None:
        self.port = 0
        self._directory = directory
        self._server = Server(self.name, directory)

    @property
    def address(self) -> str:
        """For an EventBroker."""
        return f"tcp://127.0.0.1:{self.port}"

    def start(self, *, die_with_parent: bool) -> None:
        """Start it and wait until it takes connections; DemoError when it does not."""
        self.port = self.port or free_port(None)
        command = [
            *(sys.executable, "-m", "eatool.dev.smf", f"--port={self.port}"),
            f"--spool={self._directory / 'solace-spool'}",
            *(f"--queue={queue}={topics}" for queue, topics in QUEUES.items()),
        ]
        self._server.spawn(command, die_with_parent=die_with_parent)
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
        """``kill -9``; :meth:`start` gives it the same port, and it has what it had."""
        self._server.kill()


def client_library_missing() -> str | None:
    """Why nothing can be published to Solace on this machine; ``None`` when it can be."""
    if find_spec("solace") is not None:
        return None
    return "the Solace client library (solace-pubsubplus) is not installed"
