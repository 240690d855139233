"""How answers reach a client: whole, refused, cut short, or as a watch that can be disturbed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from eatool.dev.faults import Answer, Cut, Silence, WatchError, WatchFault

# Meant for one connection, or computed anew for the next one.
_HOP_BY_HOP = {
    "connection", "content-length", "host", "keep-alive", "proxy-authenticate",
    "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip


def hang_up(incoming: web.BaseRequest) -> web.StreamResponse:
    """Break the connection. The response returned goes nowhere; aiohttp wants one."""
    if incoming.transport is not None:
        incoming.transport.abort()
    return web.Response()


def refuse(fault: Answer) -> web.StreamResponse:
    """Answer in the API server's stead."""
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return web.json_response(fault.document(), status=fault.status, headers=headers)


def end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Headers to pass on."""
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP
    )


async def relay_body(
    upstream: aiohttp.ClientResponse, response: web.StreamResponse, cut: Cut | None
) -> bool:
    """Pass on a body as it arrives; False if it was cut."""
    passed = 0
    async for chunk in upstream.content.iter_any():
        part = chunk if cut is None else chunk[: cut.after_bytes - passed]
        passed += len(part)
        if part:
            await response.write(part)
        if cut is not None and passed == cut.after_bytes:
            break
    return cut is None


class OpenWatch:
    """A watch on its way from the API server to a client, and the ways to disturb it.

    All methods belong to the event loop of the proxy.
    """

    def __init__(
        self,
        path: str,
        incoming: web.BaseRequest,
        response: web.StreamResponse,
        upstream: aiohttp.ClientResponse,
    ) -> None:
        self.path = path
        self._incoming = incoming
        self._response = response
        self._upstream = upstream
        self._fault: WatchFault | None = None
        self._rest = b""
        # Other encodings are framed by length: they pass through as they come.
        self._by_line = upstream.content_type == "application/json"

    async def relay(self) -> None:
        """Pass on events until either side, or a fault, ends it."""
        try:
            async for chunk in self._upstream.content.iter_any():
                await self._deliver(chunk)
        except aiohttp.ClientError:
            if self._fault is None:  # the API server went away; the client sees what it would see
                hang_up(self._incoming)
        if isinstance(self._fault, Silence):
            await asyncio.Event().wait()  # cancelled when the client leaves or the proxy stops

    async def disturb(self, fault: WatchFault) -> None:
        """Break it in one of the ways a watch can break."""
        self._fault = fault
        match fault:
            case Cut():
                hang_up(self._incoming)
            case WatchError():
                await self._response.write(json.dumps(fault.event()).encode() + b"\n")
            case Silence():
                pass
        self._upstream.close()

    async def _deliver(self, chunk: bytes) -> None:
        """Write whole events only, so that an ERROR event never lands inside another."""
        if self._fault is not None:
            return
        if self._by_line:
            whole, newline, self._rest = (self._rest + chunk).rpartition(b"\n")
            chunk = whole + newline
        if chunk:
            await self._response.write(chunk)
