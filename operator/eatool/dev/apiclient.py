"""As much of an API client as it takes to start a control plane and to test one."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit


class ApiError(RuntimeError):
    """The API server refused a request."""

    def __init__(self, method: str, path: str, reply: Reply) -> None:
        message = reply.body.get("message", "no message")
        super().__init__(f"{method} {path}: {reply.status} {message}")
        self.status = reply.status
        self.body = reply.body


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and body of one answer. A body that is not a JSON object comes as `{"text": ...}`."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Talks to one API server as one user, a connection per request."""

    server: str
    context: ssl.SSLContext
    token: str | None = None
    timeout: float = 30.0

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
    ) -> Reply:
        """Send one request and return the answer, whatever its status."""
        address = urlsplit(self.server)
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=self.timeout, context=self.context
        )
        headers = {"Accept": "application/json", "Content-Type": content_type}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            payload = None if body is None else json.dumps(body).encode()
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            return Reply(response.status, _decode(response.read()))
        finally:
            connection.close()

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Send one request and return the body, or raise if it was refused."""
        reply = self.request(method, path, body, content_type=content_type)
        if reply.status >= HTTPStatus.BAD_REQUEST:
            raise ApiError(method, path, reply)
        return reply.body


def _decode(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"text": content.decode(errors="replace")}
