"""An HTTP server inside our own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

#: How long requests in flight may take when the process stops.
GRACE_SECONDS = 5


class _Embedded(uvicorn.Server):
    """A server that leaves signals to the process it lives in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take over no signal."""
        yield


@asynccontextmanager
async def serve(app: ASGIApp, host: str, port: int) -> AsyncIterator[int]:
    """Serve ``app`` for the length of the block; yields the bound port (``port`` 0 = any free).

    ``OSError`` when the address cannot be bound. On leaving, new connections are refused and
    requests in flight get :data:`GRACE_SECONDS`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=128) as listener:
        server = _Embedded(
            uvicorn.Config(
                app,
                log_config=None,  # records go where all of ours go
                access_log=False,  # counted, not logged: probes would drown the rest
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        task = asyncio.create_task(server.serve(sockets=[listener]), name="http-server")
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task
