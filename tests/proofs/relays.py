"""The relays of one operator as a process of its own, to be killed.

``python -m tests.proofs.relays STORE_URL MQTT_PORT SOLACE_PORT FOLDER``
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from eatool.publishing.assembly import Secrets, assemble
from eatool.publishing.breaker import BreakerPolicy
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.declared.broker import EventBrokerSpec
from eatool.publishing.fleet import Fleet
from eatool.publishing.observer import NullObserver
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

#: Seconds until a broker that answers nothing is given up; an operator waits 30.
ACK_TIMEOUT: Final = 1.0
_LEASE: Final = 1.5  # 15
_BREAKER: Final = BreakerPolicy(base=0.1, cap=0.5)  # 1 and 60
_ROOT: Final = Path(__file__).parents[2]
_SECRETS: Final[Secrets] = {"login": {"username": b"eatool", "password": b"eatool"}}


class RelayProcess:
    """Serves both brokers from one log, as one process of the operator does."""

    def __init__(self, *arguments: object, folder: Path) -> None:
        """``arguments``: as of this module, without the folder."""
        self._log = folder / "relays.log"
        self._command = [sys.executable, "-m", __name__, *map(str, arguments), str(folder)]
        self._process: subprocess.Popen[bytes] | None = None
        self.kills = 0

    def start(self) -> None:
        """Begin, without waiting."""
        path = f"{_ROOT}{os.pathsep}{_ROOT / 'operator'}"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env={**os.environ, "PYTHONPATH": path}, cwd=_ROOT, stderr=log
            )

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        self._process.kill()
        self._process.wait()
        self.kills += 1


@contextmanager
def relaying(process: RelayProcess) -> Iterator[RelayProcess]:
    """Start it; it is gone after the block."""
    process.start()
    try:
        yield process
    finally:
        process.kill()


async def main(url: str, mqtt_port: int, solace_port: int, folder: Path) -> None:
    """Relay until killed."""
    specs = {
        "mqtt": EventBrokerSpec(type="mqtt", addresses=(f"mqtt://127.0.0.1:{mqtt_port}",)),
        "solace": EventBrokerSpec.model_validate(
            {
                "type": "solace",
                "addresses": [f"tcp://127.0.0.1:{solace_port}"],
                "credentials": {"basic": {"name": "login"}},
            }
        ),
    }
    fleet = Fleet(
        SqlEventStore(open_engine(url)),
        SqlCheckpoints(open_engine(url)),
        owner=f"relays-{os.getpid()}",
        observer_of=lambda _name: NullObserver(),
    )
    for name, spec in specs.items():
        destination = assemble(name, spec, _SECRETS, environment="dev", material=folder)
        options = replace(
            destination.options, lease=_LEASE, ack_timeout=ACK_TIMEOUT, breaker=_BREAKER
        )
        await fleet.put(replace(destination, options=options), "1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
