"""The real server on a real socket, asked over HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as plain

from eatool.api.app import ROUTES, create_app
from eatool.api.health import Check, Health, Liveness
from eatool.api.server import serve
from eatool.telemetry.labels import Labels
from eatool.telemetry.prometheus import PrometheusMetrics

HOST = "127.0.0.1"
SECRET = "postgresql://u:hunter2@db"


@pytest.fixture
def metrics() -> PrometheusMetrics:
    return PrometheusMetrics(Labels(events={"server": ("ServerCreated.v1",)}, routes=ROUTES))


@asynccontextmanager
async def client(
    metrics: PrometheusMetrics,
    *,
    liveness: Liveness = lambda: Health(ok=True),
    **checks: Check,
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(
        registry=metrics.registry,
        metrics=metrics,
        checks=checks,
        liveness=liveness,
        check_seconds=0.1,
    )
    async with (
        serve(app, HOST, 0) as port,
        httpx.AsyncClient(base_url=f"http://{HOST}:{port}") as http,
    ):
        yield http


async def good() -> Health:
    return Health(ok=True, why="position 7")


async def bad() -> Health:
    return Health(ok=False, why="2 migrations are missing")


async def hangs() -> Health:
    await asyncio.sleep(60)
    return Health(ok=True)


async def breaks() -> Health:
    raise RuntimeError(SECRET)


async def test_alive(metrics: PrometheusMetrics) -> None:
    async with client(metrics) as http:
        answer = await http.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"ok": True, "checks": {"live": {"ok": True, "why": ""}}}
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


async def test_not_worth_keeping(metrics: PrometheusMetrics) -> None:
    async with client(metrics, liveness=lambda: Health(ok=False, why="no resync")) as http:
        answer = await http.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["live"] == {"ok": False, "why": "no resync"}


async def test_readiness_does_not_decide_about_life(metrics: PrometheusMetrics) -> None:
    async with client(metrics, store=bad) as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 503


async def test_ready_when_every_check_passes(metrics: PrometheusMetrics) -> None:
    async with client(metrics, store=good, watches=good) as http:
        answer = await http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ok"] is True
    assert answer.json()["checks"]["store"] == {"ok": True, "why": "position 7"}


async def test_one_failing_check_is_named_beside_the_others(metrics: PrometheusMetrics) -> None:
    async with client(metrics, store=good, migrations=bad) as http:
        answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ok": False,
        "checks": {
            "store": {"ok": True, "why": "position 7"},
            "migrations": {"ok": False, "why": "2 migrations are missing"},
        },
    }


async def test_a_check_that_hangs_costs_its_own_timeout_only(metrics: PrometheusMetrics) -> None:
    async with client(metrics, slow=hangs, slower=hangs, store=good) as http:
        answer = await http.get("/readyz")
    checks = answer.json()["checks"]
    assert answer.status_code == 503
    assert checks["slow"] == checks["slower"] == {"ok": False, "why": "no answer within 0.1 s"}
    assert checks["store"]["ok"] is True


async def test_an_exception_never_reaches_the_answer(metrics: PrometheusMetrics) -> None:
    async with client(metrics, store=breaks) as http:
        answer = await http.get("/readyz")
    assert answer.json()["checks"]["store"] == {"ok": False, "why": "RuntimeError"}
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


async def test_metrics_in_the_plain_format(metrics: PrometheusMetrics) -> None:
    metrics.appended("server", "ServerCreated.v1")
    async with client(metrics) as http:
        answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in plain(answer.text)}
    assert families["eatool_events_appended"].samples[0].value == 1


async def test_metrics_as_openmetrics_when_asked(metrics: PrometheusMetrics) -> None:
    async with client(metrics) as http:
        accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
        answer = await http.get("/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    assert "eatool_build_info{" in answer.text


async def test_requests_are_counted_by_route(metrics: PrometheusMetrics) -> None:
    async with client(metrics, store=bad) as http:
        await http.get("/readyz?verbose=1")
        await http.get("/no/such/path")
        assert (await http.post("/healthz")).status_code == 405

    def count(route: str, method: str, code: str) -> float | None:
        labels = {"route": route, "method": method, "code": code}
        return metrics.registry.get_sample_value("eatool_http_requests_total", labels)

    assert count("/readyz", "GET", "503") == 1
    assert count("other", "GET", "404") == 1
    assert count("/healthz", "POST", "405") == 1
    assert count("/healthz", "GET", "200") == 0


async def test_the_port_is_free_again_afterwards(metrics: PrometheusMetrics) -> None:
    app = create_app(registry=metrics.registry, metrics=metrics, checks={})
    async with serve(app, HOST, 0) as port:
        pass
    async with serve(app, HOST, port) as again:
        assert again == port
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((HOST, port), timeout=1).close()


async def test_a_taken_port_is_an_error(metrics: PrometheusMetrics) -> None:
    app = create_app(registry=metrics.registry, metrics=metrics, checks={})
    with socket.create_server((HOST, 0)) as taken, pytest.raises(OSError, match="in use"):
        async with serve(app, HOST, taken.getsockname()[1]):
            pass


async def test_a_request_in_flight_is_answered_before_the_end(metrics: PrometheusMetrics) -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow() -> Health:
        entered.set()
        await release.wait()
        return Health(ok=True)

    app = create_app(
        registry=metrics.registry, metrics=metrics, checks={"slow": slow}, check_seconds=30
    )
    async with httpx.AsyncClient() as http:
        async with serve(app, HOST, 0) as port:
            request = asyncio.create_task(http.get(f"http://{HOST}:{port}/readyz"))
            await entered.wait()
            asyncio.get_running_loop().call_later(0.2, release.set)
        assert (await request).status_code == 200


async def test_signals_belong_to_the_process(metrics: PrometheusMetrics) -> None:
    received = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, received.set)
    try:
        async with client(metrics) as http:
            await http.get("/healthz")
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(received.wait(), 10)
            assert (await http.get("/healthz")).status_code == 200
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
