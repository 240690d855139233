"""A reverse proxy before the API server that breaks things on request.

Better than an emulator: everything that is not a fault is answered by the real API server.
It serves from its own thread, so that tests and operators may block or run their own loops.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from eatool.dev.controlplane import ControlPlane
from eatool.dev.faults import (
    Answer,
    Cut,
    Delay,
    Drop,
    Fault,
    Rule,
    Rules,
    Silence,
    WatchError,
    WatchFault,
)
from eatool.dev.kubeconfig import Token, write_kubeconfig
from eatool.dev.relaying import OpenWatch, end_to_end, hang_up, refuse, relay_body
from eatool.dev.traffic import Request, RequestLog

_ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class _Serving:
    """What other threads need to know of the running server."""

    loop: asyncio.AbstractEventLoop
    stopping: asyncio.Event
    port: int


class FaultProxy:
    """Stands between clients and a control plane.

    Its kubeconfig carries a random token that stands for the administrator. Any other
    bearer token is passed on, so a service account is still itself behind the proxy.
    """

    def __init__(self, upstream: ControlPlane, directory: Path, *, tls: bool = True) -> None:
        self.log = RequestLog()
        self._upstream = upstream
        self._directory = directory
        self._tls = tls
        self._rules = Rules()
        self._admin_token = secrets.token_urlsafe(24)
        self._watches: set[OpenWatch] = set()
        self._thread: threading.Thread | None = None
        self._serving: _Serving | None = None
        # Set by the serving thread before it takes requests.
        self._target: str
        self._as_admin: aiohttp.ClientSession
        self._as_caller: aiohttp.ClientSession

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"{'https' if self._tls else 'http'}://{_ADDRESS}:{self._running.port}"

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator behind the proxy."""
        return self._directory / "fault-proxy.kubeconfig"

    @property
    def admin_token(self) -> str:
        """Bearer token that stands for the administrator, at this proxy only."""
        return self._admin_token

    def kubeconfig_for(self, token: str, user: str) -> Path:
        """Write a kubeconfig for the owner of a token of the API server."""
        return self._write_kubeconfig(
            self._directory / f"{user.replace('/', '_')}.fault-proxy.kubeconfig", user, token
        )

    def start(self) -> None:
        """Serve, from a thread of its own."""
        ready: Future[_Serving] = Future()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(ready)), name="fault-proxy", daemon=True
        )
        self._thread.start()
        self._serving = ready.result()
        self._write_kubeconfig(self.kubeconfig, "admin", self._admin_token)

    def stop(self) -> None:
        """Break what is open and stop serving."""
        if self._serving is None or self._thread is None:
            return
        self._serving.loop.call_soon_threadsafe(self._serving.stopping.set)
        self._thread.join()
        self._serving = self._thread = None

    def inject(
        self,
        fault: Fault,
        *,
        method: str | None = None,
        path: str | None = None,
        watch: bool | None = None,
        times: int | None = None,
    ) -> Rule:
        """Hit requests that match (`path` is searched for), the next `times` of them or all."""
        pattern = None if path is None else re.compile(path)
        return self._rules.add(Rule(fault, method=method, path=pattern, watch=watch, times=times))

    def lift(self, rule: Rule | None = None) -> None:
        """Stop injecting one fault, or all of them."""
        if rule is None:
            self._rules.clear()
        else:
            self._rules.remove(rule)

    def disturb_watches(self, fault: WatchFault, *, path: str = "") -> int:
        """Break the watches that are open now; returns how many there were."""
        return self._run(self._disturb(fault, re.compile(path)))

    def open_watches(self, *, path: str = "") -> int:
        """Count the watches that are open now, silenced ones included."""
        return self._run(self._count(re.compile(path)))

    @property
    def _running(self) -> _Serving:
        if self._serving is None:
            raise RuntimeError("the fault proxy is not running")
        return self._serving

    def _run(self, work: Coroutine[Any, Any, int]) -> int:
        return asyncio.run_coroutine_threadsafe(work, self._running.loop).result()

    def _write_kubeconfig(self, path: Path, user: str, token: str) -> Path:
        return write_kubeconfig(
            path,
            server=self.url,
            ca=self._upstream.ca.read_bytes() if self._tls else None,
            user=user,
            credentials=Token(token),
        )

    async def _disturb(self, fault: WatchFault, path: re.Pattern[str]) -> int:
        watches = [watch for watch in self._watches if path.search(watch.path)]
        for watch in watches:
            await watch.disturb(fault)
        return len(watches)

    async def _count(self, path: re.Pattern[str]) -> int:
        return sum(1 for watch in self._watches if path.search(watch.path))

    async def _serve(self, ready: Future[_Serving]) -> None:
        """Live as long as the thread does."""
        stopping = asyncio.Event()
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        try:
            self._target = self._upstream.url
            admin, caller = self._upstream_contexts()
            async with _session(admin) as self._as_admin, _session(caller) as self._as_caller:
                await runner.setup()
                await web.TCPSite(runner, _ADDRESS, 0, ssl_context=self._tls_context()).start()
                port = int(runner.addresses[0][1])
                ready.set_result(_Serving(asyncio.get_running_loop(), stopping, port))
                await stopping.wait()
                await runner.cleanup()
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    def _upstream_contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """With and without the administrator's certificate, which would win over any token."""
        caller = ssl.create_default_context(cafile=str(self._upstream.ca))
        admin = ssl.create_default_context(cafile=str(self._upstream.ca))
        admin.load_cert_chain(*self._upstream.admin_certificate)
        return admin, caller

    def _tls_context(self) -> ssl.SSLContext | None:
        if not self._tls:
            return None
        pair = self._upstream.authority().serving([_ADDRESS, "localhost"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*pair.write(self._directory, "fault-proxy"))
        return context

    async def _handle(self, incoming: web.BaseRequest) -> web.StreamResponse:
        request = Request.parse(
            incoming.method,
            incoming.path,
            incoming.query,
            incoming.headers.get("User-Agent", ""),
        )
        self.log.append(request)
        fault = self._rules.strike(request)
        request.injected = fault is not None
        match fault:
            case Answer():
                request.status = fault.status
                return refuse(fault)
            case Drop(processed=False):
                return hang_up(incoming)
            case Delay(seconds):
                await asyncio.sleep(seconds)
        try:
            return await self._forward(incoming, request, fault)
        except aiohttp.ClientError:
            # The API server is away. A gateway would say 502; a client without one sees this.
            return hang_up(incoming)

    async def _forward(
        self, incoming: web.BaseRequest, request: Request, fault: Fault | None
    ) -> web.StreamResponse:
        session, headers = self._in_the_name_of(incoming)
        async with session.request(
            incoming.method,
            URL(f"{self._target}{incoming.raw_path}", encoded=True),
            headers=headers,
            data=incoming.content if incoming.body_exists else None,
            allow_redirects=False,
        ) as upstream:
            if isinstance(fault, Drop):
                await upstream.read()
                return hang_up(incoming)
            request.status = upstream.status
            response = web.StreamResponse(
                status=upstream.status, headers=end_to_end(upstream.headers)
            )
            response.content_length = upstream.content_length
            await response.prepare(incoming)
            if request.is_watch and upstream.status == HTTPStatus.OK and not isinstance(fault, Cut):
                watch = OpenWatch(request.path, incoming, response, upstream)
                await self._relay_watch(watch, fault)
            elif not await relay_body(
                upstream, response, fault if isinstance(fault, Cut) else None
            ):
                return hang_up(incoming)
            return response

    async def _relay_watch(self, watch: OpenWatch, fault: Fault | None) -> None:
        self._watches.add(watch)
        try:
            if isinstance(fault, Silence | WatchError):
                await watch.disturb(fault)
            await watch.relay()
        finally:
            self._watches.discard(watch)

    def _in_the_name_of(
        self, incoming: web.BaseRequest
    ) -> tuple[aiohttp.ClientSession, CIMultiDict[str]]:
        headers = end_to_end(incoming.headers)
        presented = headers.get("Authorization", "").encode()
        if secrets.compare_digest(presented, f"Bearer {self._admin_token}".encode()):
            del headers["Authorization"]
            return self._as_admin, headers
        return self._as_caller, headers


def _session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    """Connect without limits: watches last, and there may be many."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
    )
