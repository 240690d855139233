"""Waiting for a server that was just started."""

from __future__ import annotations

import socket
import time

from eatool.demo.failing import DemoError
from eatool.dev.processes import Server

_SECONDS = 15.0


def await_port(port: int, server: Server, product: str) -> None:
    """Return when it takes connections; :class:`DemoError` with its last words otherwise."""
    deadline = time.monotonic() + _SECONDS
    while not _answers(port):
        if server.pid is None or time.monotonic() > deadline:
            raise DemoError(f"{product} did not start:\n{server.log_tail()}")
        time.sleep(0.02)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
