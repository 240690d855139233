"""A socket that reads and writes many MQTT packets per system call.

paho makes three ``recv`` calls for every acknowledgement and one ``send`` for every message; each
also gives up the interpreter lock. The buffers here sit between and bring four system calls per
event under load down to one in thirty. They get in through paho's TLS hook, which accepts any
context and uses the socket that its ``wrap_socket`` returns, TLS or not.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

_READ: Final = 64 * 1024
#: Unsent bytes beyond which paho has to wait.
_HIGH_WATER: Final = 1024 * 1024


class BufferedSocket:
    """What paho needs of a socket; :meth:`flush` does the writing."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._read = b""
        self._at = 0
        self._unsent = bytearray()

    def recv(self, size: int) -> bytes:
        """Up to ``size`` bytes from the buffer, which one system call refills."""
        if self._at == len(self._read):
            self._read = self._sock.recv(_READ)
            self._at = 0
        start = self._at
        chunk = self._read[start : start + size]
        self._at = start + len(chunk)
        return chunk

    def send(self, data: bytes | bytearray) -> int:
        """Keep ``data`` for the next flush; ``BlockingIOError`` when too much is unsent."""
        if len(self._unsent) > _HIGH_WATER:
            raise BlockingIOError
        self._unsent += data
        return len(data)

    def flush(self) -> None:
        """Write what the socket takes now; ``OSError`` when it is broken."""
        try:
            while self._unsent:
                sent = self._sock.send(self._unsent)
                del self._unsent[:sent]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return

    @property
    def unsent(self) -> bool:
        """Bytes are waiting for the socket."""
        return bool(self._unsent)

    def pending(self) -> int:
        """Bytes that can be read without the socket becoming readable."""
        buffered = len(self._read) - self._at
        return buffered + (self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0)

    def fileno(self) -> int:
        """For the event loop."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """As a socket's."""
        self._sock.setblocking(flag)

    def settimeout(self, seconds: float | None) -> None:
        """As a socket's."""
        self._sock.settimeout(seconds)

    def do_handshake(self) -> None:
        """As a TLS socket's; nothing on plain TCP."""
        if not isinstance(self._sock, ssl.SSLSocket):
            return
        try:
            self._sock.do_handshake()
        except BaseException:
            self._sock.close()  # paho forgets a socket whose handshake failed
            raise

    def close(self) -> None:
        """As a socket's; what is unsent is lost."""
        self._sock.close()


class BufferingContext:
    """Stands where paho expects a TLS context."""

    #: Tells paho that host names, if any, are checked by the real context.
    check_hostname: Final = True

    def __init__(self, tls: ssl.SSLContext | None, server_name: str | None) -> None:
        self._tls = tls
        self._server_name = server_name

    def wrap_socket(
        self, sock: socket.socket, *, server_hostname: str, do_handshake_on_connect: bool
    ) -> BufferedSocket:
        """Wrap in TLS, if there is any, and in buffers."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return BufferedSocket(sock)
        return BufferedSocket(
            self._tls.wrap_socket(
                sock,
                server_hostname=self._server_name or server_hostname,
                do_handshake_on_connect=do_handshake_on_connect,
            )
        )
