"""The HTTP application: liveness, readiness, metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eatool.api.health import Check, Health, Liveness, Report, examine
from eatool.telemetry.metrics import HttpMetrics

#: Path templates, the ``route`` label of the HTTP metrics.
ROUTES = ("/healthz", "/readyz", "/metrics")

#: Below the kubelet's default of one second would flap on a busy database, far above it hides one.
CHECK_SECONDS = 2.0


def create_app(
    *,
    registry: CollectorRegistry,
    metrics: HttpMetrics,
    checks: Mapping[str, Check],
    liveness: Liveness = lambda: Health(ok=True),
    check_seconds: float = CHECK_SECONDS,
) -> Starlette:
    """Wire the application.

    Args:
        registry: what ``/metrics`` shows.
        metrics: where requests are counted.
        checks: what ``/readyz`` asks, by name; all must pass.
        liveness: what ``/healthz`` asks. That the loop answers at all is checked by asking.
        check_seconds: patience with each check.

    """

    async def healthz(_request: Request) -> Response:
        async def live() -> Health:
            return liveness()

        return _answer(await examine({"live": live}, limit=check_seconds))

    async def readyz(_request: Request) -> Response:
        return _answer(await examine(checks, limit=check_seconds))

    async def exposition(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        body = await asyncio.to_thread(encode, registry)
        return Response(body, headers={"content-type": content_type})

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", exposition),
        ],
        middleware=[Middleware(_Measured, metrics=metrics)],
    )


def _answer(report: Report) -> Response:
    return JSONResponse(
        report.to_json(),
        status_code=200 if report.ok else 503,
        headers={"cache-control": "no-store"},
    )


class _Measured:
    """Counts and times requests by the template of the route that answered."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        code = 500  # what the server answers for us when the application raises
        begin = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = scope.get("route")
            path = route.path if isinstance(route, Route) else "none"
            seconds = time.perf_counter() - begin
            self._metrics.http_request(path, scope["method"], code, seconds)
