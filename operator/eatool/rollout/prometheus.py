"""Ask a Prometheus for one number."""

from __future__ import annotations

import math
from typing import Any, Final, Protocol

import httpx

from eatool.rollout.samples import NoAnswer

#: Seconds for connecting, and for every wait within an answer.
TIMEOUT: Final = 5.0
#: Bytes of an answer that are read: one number needs far less.
ANSWER_LIMIT: Final = 64 * 1024


class BadQuery(Exception):
    """The query is wrong, or its result is not one number: somebody has to mend it."""


class Queries(Protocol):
    """What criteria ask for PromQL. Blocks; thread-safe."""

    def query(self, promql: str) -> float | None:
        """The number now; ``None`` for no series or NaN.

        Raises :class:`~eatool.rollout.samples.NoAnswer` or :class:`BadQuery`.
        """
        ...


class Prometheus:
    """See :class:`Queries`; the HTTP API at ``url``."""

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        self._url = url.rstrip("/") + "/api/v1/query"
        self._timeout = timeout
        self._client = httpx.Client(timeout=timeout, follow_redirects=False)

    def query(self, promql: str) -> float | None:
        """See :class:`Queries`."""
        answer = self._ask(promql)
        if answer.get("status") != "success":
            raise BadQuery(f"{answer.get('errorType')}: {answer.get('error')}")
        data = answer.get("data")
        try:
            return _number(data)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise NoAnswer("the answer is not that of a Prometheus") from error

    def close(self) -> None:
        """Release connections."""
        self._client.close()

    def _ask(self, promql: str) -> dict[str, Any]:
        # Prometheus gives up a little before we do, so that its message gets through.
        form = {"query": promql, "timeout": f"{self._timeout * 0.9:.3f}"}
        try:
            with self._client.stream("POST", self._url, data=form) as response:
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > ANSWER_LIMIT:
                        raise BadQuery("the result is not one number but far more")
                status = response.status_code
        except httpx.HTTPError as error:
            raise NoAnswer(f"{type(error).__name__}: {error}") from error
        try:
            answer = httpx.Response(status, content=bytes(body)).json()
        except ValueError as error:
            raise NoAnswer(f"HTTP {status} without JSON") from error
        # 400 and 422 say what is wrong with the query; others say that the server is in trouble.
        if not isinstance(answer, dict) or status not in {200, 400, 422}:
            raise NoAnswer(f"HTTP {status}")
        return answer


def _number(data: Any) -> float | None:
    kind, result = data["resultType"], data["result"]
    if kind == "vector":
        if not result:
            return None
        if len(result) > 1:
            raise BadQuery(f"{len(result)} series instead of one: aggregate them")
        value = float(result[0]["value"][1])
    elif kind == "scalar":
        value = float(result[1])
    else:
        raise BadQuery(f"the result is a {kind} instead of one number")
    return None if math.isnan(value) else value
