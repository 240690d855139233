"""A TCP port for a server that cannot choose one itself."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from eatool.dev.commands import ADDRESS

# A killed server lets go of its port a moment after it is gone from the process table.
_RELEASE_SECONDS = 1.0


def free_port(remembered: Path | None) -> int:
    """Find a port nobody listens on, if possible the one in a file.

    Somebody may take it before the server does: be ready to try again.
    """
    if remembered is not None and remembered.exists():
        port = int(remembered.read_text())
        deadline = time.monotonic() + _RELEASE_SECONDS
        while time.monotonic() < deadline:
            try:
                return _bind(port)
            except OSError:
                time.sleep(0.05)
    return _bind(0)


def _bind(port: int) -> int:
    """Take a port (0 for any) and give it back."""
    with socket.socket() as probe:
        # As the API server binds: connections in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((ADDRESS, port))
        return int(probe.getsockname()[1])
