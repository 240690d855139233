"""What can go wrong between a client and the API server, and when it should."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from eatool.dev.traffic import Request

# The reasons kube-apiserver gives; clients decide by them as much as by the status.
_REASONS = {
    HTTPStatus.BAD_REQUEST: "BadRequest",
    HTTPStatus.UNAUTHORIZED: "Unauthorized",
    HTTPStatus.FORBIDDEN: "Forbidden",
    HTTPStatus.NOT_FOUND: "NotFound",
    HTTPStatus.CONFLICT: "Conflict",
    HTTPStatus.GONE: "Expired",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Invalid",
    HTTPStatus.TOO_MANY_REQUESTS: "TooManyRequests",
    HTTPStatus.INTERNAL_SERVER_ERROR: "InternalError",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailable",
    HTTPStatus.GATEWAY_TIMEOUT: "Timeout",
}


def status_document(
    code: int, *, message: str, reason: str | None = None, retry_after: int | None = None
) -> dict[str, Any]:
    """Make a metav1.Status, as the API server sends with every refusal."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason or _REASONS.get(HTTPStatus(code), ""),
        "details": {} if retry_after is None else {"retryAfterSeconds": retry_after},
        "code": code,
    }


@dataclass(frozen=True, slots=True)
class Answer:
    """Refuse with a status; the API server never hears of the request."""

    status: int
    message: str = "injected fault"
    reason: str | None = None
    retry_after: int | None = None

    def document(self) -> dict[str, Any]:
        """Return the body to send."""
        return status_document(
            self.status, message=self.message, reason=self.reason, retry_after=self.retry_after
        )


@dataclass(frozen=True, slots=True)
class Delay:
    """Forward the request, but only after a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection without an answer.

    With `processed` the API server has carried the request out first, and only the
    answer is lost: the client cannot tell the two apart, and must not need to.
    """

    processed: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """Break the connection inside the body of the answer."""

    after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Silence:
    """Keep the watch open and deliver nothing more, not even its end.

    So does a load balancer that has forgotten the connection.
    """


@dataclass(frozen=True, slots=True)
class WatchError:
    """Send an ERROR event and end the watch; 410 means the history it asks for is compacted."""

    code: int = HTTPStatus.GONE
    message: str = "too old resource version: 1 (2)"
    reason: str | None = None

    def event(self) -> dict[str, Any]:
        """Return the event to send."""
        status = status_document(self.code, message=self.message, reason=self.reason)
        return {"type": "ERROR", "object": status}


WatchFault = Cut | Silence | WatchError
Fault = Answer | Delay | Drop | WatchFault


@dataclass(slots=True)
class Rule:
    """A fault, which requests it hits, and how many of them. None means any, or all."""

    fault: Fault
    method: str | None = None
    path: re.Pattern[str] | None = None
    watch: bool | None = None
    times: int | None = None
    hits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.fault, Silence | WatchError):
            self.watch = True  # they mean nothing to any other request

    def matches(self, request: Request) -> bool:
        """Whether it applies to a request, given how often it already has."""
        return (
            (self.times is None or self.hits < self.times)
            and self.method in (None, request.method)
            and (self.path is None or self.path.search(request.path) is not None)
            and self.watch in (None, request.is_watch)
        )


class Rules:
    """The rules in force; the first that matches wins. Changed by one thread, asked by another."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(self, rule: Rule) -> Rule:
        """Put a rule in force, after those already there."""
        with self._lock:
            self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """Lift one rule."""
        with self._lock:
            self._rules.remove(rule)

    def clear(self) -> None:
        """Lift them all."""
        with self._lock:
            self._rules.clear()

    def strike(self, request: Request) -> Fault | None:
        """Decide what happens to a request, and count it."""
        with self._lock:
            for rule in self._rules:
                if rule.matches(request):
                    rule.hits += 1
                    return rule.fault
        return None
