"""Drives a paho client from the asyncio loop: reads, writes, pings.

paho is used without its network thread: the loop watches the socket (``add_reader``,
``add_writer``) and calls paho's ``loop_read``/``loop_write``. Measured against the threaded mode
this is 1.3 to 1.6 times faster, because no message crosses threads, and every callback runs where
the futures live.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from paho.mqtt.client import Client

from eatool.publishing.mqtt_socket import BufferedSocket

_KEEPALIVE_CHECK: Final = 1.0
#: A broker ends a session it has not heard of for 1.5 times the keep-alive: look often enough.
_CHECKS_PER_KEEPALIVE: Final = 4


class LoopDriver:
    """One connection of one client; make it in the loop."""

    def __init__(
        self, client: Client, keepalive: float, broken: Callable[[OSError], object]
    ) -> None:
        """``keepalive``: in seconds. ``broken``: told why nothing can be written any more."""
        self._client = client
        self._pause = min(_KEEPALIVE_CHECK, keepalive / _CHECKS_PER_KEEPALIVE)
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._socket: BufferedSocket | None = None
        self._writer_added = False
        self._keepalive: asyncio.TimerHandle | None = None

    @property
    def driving(self) -> bool:
        """The connection is open and watched."""
        return self._socket is not None

    def start(self) -> None:
        """Begin with the socket that the client has opened; OSError when it is gone already."""
        sock = self._client.socket()
        if not isinstance(sock, BufferedSocket):
            raise OSError("the broker closed the connection at once")
        self._socket = sock
        self._client.on_socket_close = lambda _client, _data, _sock: self._release()
        self._client.on_socket_register_write = self._want_write
        self._loop.add_reader(sock, self._readable)
        self._watch_keepalive()
        self.flush()  # CONNECT

    def stop(self) -> None:
        """Close the socket, also one that was never watched; what is unsent is lost."""
        sock = self._client.socket()
        self._release()
        if sock is not None:
            sock.close()

    def flush(self) -> None:
        """Write what is queued; wait for the socket if it is full."""
        sock = self._socket
        if sock is None:
            return
        self._client.loop_write()
        try:
            sock.flush()
        except OSError as error:
            self._broken(error)
        if self._socket is None:
            return
        wanted = sock.unsent or self._client.want_write()
        if wanted and not self._writer_added:
            self._loop.add_writer(sock, self.flush)
        elif self._writer_added and not wanted:
            self._loop.remove_writer(sock)
        self._writer_added = wanted

    def _release(self) -> None:
        if self._socket is None:
            return
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket = None
        if self._keepalive is not None:
            self._keepalive.cancel()

    def _readable(self) -> None:
        self._client.loop_read()
        # Read on what is buffered already: no readiness event will tell.
        while self._socket is not None and self._socket.pending():
            self._client.loop_read()

    def _want_write(self, _client: Client, _data: Any, _sock: Any) -> None:
        # Once for all that is published in this turn: paho asks again only after a flush.
        self._loop.call_soon(self.flush)

    def _watch_keepalive(self) -> None:
        self._keepalive = self._loop.call_later(self._pause, self._check_keepalive)

    def _check_keepalive(self) -> None:
        self._watch_keepalive()
        self._client.loop_misc()
