"""PromQL against a real Prometheus, and what a sick one does against a scripted server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.plugins.prometheus import PrometheusFactory

from eatool.dev.ports import free_port
from eatool.rollout.prometheus import ANSWER_LIMIT, BadQuery, Prometheus
from eatool.rollout.samples import NoAnswer


@pytest.fixture(scope="module")
def real(make_prometheus: PrometheusFactory) -> Iterator[Prometheus]:
    """One that scrapes itself."""
    asked = Prometheus(make_prometheus(None))
    yield asked
    asked.close()


def test_a_real_prometheus_answers_with_a_number(real: Prometheus) -> None:
    assert real.query('sum(up{job="scraped"})') == 1.0
    assert real.query("scalar(up) * 42") == 42.0
    assert real.query("1/0 * up") == float("inf")


def test_a_real_prometheus_has_no_data(real: Prometheus) -> None:
    assert real.query("no_such_metric") is None
    assert real.query("up * NaN") is None
    assert real.query('sum(rate(no_such_metric{a="b"}[5m]))') is None


@pytest.mark.parametrize(
    ("promql", "problem"),
    [
        ("sum(", "bad_data"),
        ('label_replace(up, "a", "b", "instance", "(")', "invalid regular expression"),
        ("up[5m]", "matrix"),
        ('"text"', "string"),
        ('{__name__=~"go_gc_.+"}', "aggregate them"),
    ],
)
def test_a_real_prometheus_refuses_or_says_too_much(
    real: Prometheus, promql: str, problem: str
) -> None:
    with pytest.raises(BadQuery, match=problem):
        real.query(promql)


Script = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def scripted() -> Iterator[Callable[[Script], str]]:
    """Starts servers that do what a test says with each request."""
    servers: list[ThreadingHTTPServer] = []

    def serve(script: Script) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                script(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def answer(status: int, body: object) -> Script:
    def script(handler: BaseHTTPRequestHandler) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    return script


def vector(*values: str) -> dict[str, object]:
    result = [{"metric": {"n": str(n)}, "value": [1, each]} for n, each in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


@pytest.mark.parametrize(
    "script",
    [
        answer(503, {"status": "error", "errorType": "unavailable", "error": "starting"}),
        answer(500, b"<html>oops</html>"),
        answer(302, b""),
        answer(200, b"not json"),
        answer(200, []),
        answer(200, {"status": "success"}),
        answer(200, {"status": "success", "data": {"resultType": "vector", "result": [{}]}}),
        answer(200, vector("many")),
        answer(429, {"status": "error"}),
        lambda handler: handler.wfile.write(b"garbage\r\n\r\n"),
        lambda handler: handler.connection.close(),
    ],
)
def test_a_sick_server_is_missing_data(scripted: Callable[[Script], str], script: Script) -> None:
    prometheus = Prometheus(scripted(script))
    with pytest.raises(NoAnswer):
        prometheus.query("up")
    prometheus.close()


def test_a_hanging_server_is_missing_data(scripted: Callable[[Script], str]) -> None:
    released = threading.Event()

    def hang(_handler: BaseHTTPRequestHandler) -> None:
        released.wait(30)

    prometheus = Prometheus(scripted(hang), timeout=0.2)
    with pytest.raises(NoAnswer, match="ReadTimeout"):
        prometheus.query("up")
    released.set()
    prometheus.close()


def test_no_server_is_missing_data() -> None:
    prometheus = Prometheus(f"http://127.0.0.1:{free_port(None)}")
    with pytest.raises(NoAnswer, match="ConnectError"):
        prometheus.query("up")
    prometheus.close()


def test_an_answer_that_does_not_end_is_not_read_to_the_end(
    scripted: Callable[[Script], str],
) -> None:
    many = answer(200, vector(*["1"] * ANSWER_LIMIT))
    prometheus = Prometheus(scripted(many))
    with pytest.raises(BadQuery, match="not one number"):
        prometheus.query("up")
    prometheus.close()


def test_the_query_is_sent_as_it_is(scripted: Callable[[Script], str]) -> None:
    seen: list[str] = []

    def script(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.path)
        answer(200, vector("2.5"))(handler)

    prometheus = Prometheus(scripted(script) + "/prom/")
    assert prometheus.query('sum(rate(a{b="c&d"}[5m]))') == 2.5
    assert seen == ["/prom/api/v1/query"]
    prometheus.close()
