"""Stands between our adapter and a broker on TCP: counts, or falls silent like a cut cable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Self

_PUBLISH: Final = 3
#: What ends an exchange with the broker: PUBACK at QoS 1, PUBCOMP at QoS 2.
_FINAL: Final = (4, 7)


class Packets:
    """Finds the packets in a stream of bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int]]:
        """``(type, QoS)`` of each packet that is complete; the QoS means something in PUBLISH."""
        self._rest += data
        while (length := self._length()) is not None and length <= len(self._rest):
            first = self._rest[0]
            self._rest = self._rest[length:]
            yield first >> 4, first >> 1 & 3

    def _length(self) -> int | None:
        size = 0
        for at, byte in enumerate(self._rest[1:5]):
            size |= (byte & 0x7F) << 7 * at
            if byte < 0x80:
                return 2 + at + size
        return None


class Tap:
    """Passes connections on to one port of this machine; counts one connection at a time.

    Attributes:
        most_outstanding: the most messages that were without an answer at one time.

    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._outstanding = 0
        self.port = 0
        self.most_outstanding = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._open.set()
        await self._server.wait_closed()

    def silence(self) -> None:
        """Pass nothing on any more, either way, and close nothing."""
        self._open.clear()

    def resume(self) -> None:
        """Pass on what was held back, and all that comes."""
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            await self._open.wait()
            behind, before = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(before)
            self._outstanding = 0
            await asyncio.gather(
                self._pass(reader, before, self._count_sent),
                self._pass(behind, writer, self._count_answered),
            )
        writer.transport.abort()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        count: Callable[[int, int], None],
    ) -> None:
        packets = Packets()
        while data := await reader.read(64 * 1024):
            for kind, qos in packets.feed(data):
                count(kind, qos)
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        await self._open.wait()
        writer.transport.abort()

    def _count_sent(self, kind: int, qos: int) -> None:
        if kind == _PUBLISH and qos:
            self._outstanding += 1
            self.most_outstanding = max(self.most_outstanding, self._outstanding)

    def _count_answered(self, kind: int, _qos: int) -> None:
        if kind in _FINAL:
            self._outstanding -= 1
