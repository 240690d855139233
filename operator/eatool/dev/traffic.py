"""What was asked of an API server: requests, as the API server itself classifies them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_TRUE = ("1", "true")
# What follows a namespace's name and is not a resource inside it.
_NAMESPACE_SUBRESOURCES = ("status", "finalize")


@dataclass(slots=True)
class Request:
    """One request. `status` stays None as long as there is no answer, perhaps for ever."""

    verb: str
    method: str
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    user_agent: str = ""
    status: int | None = None
    injected: bool = False

    @property
    def is_watch(self) -> bool:
        """Whether it opened a watch."""
        return self.verb == "watch"

    @property
    def template(self) -> str:
        """Path with placeholders for the parts that differ between objects."""
        if not self.resource:
            return self.path
        parts = ["/apis", self.group] if self.group else ["/api"]
        parts.append(self.version)
        if self.namespace:
            parts += ["namespaces", "{namespace}"]
        parts.append(self.resource)
        if self.name:
            parts.append("{name}")
        if self.subresource:
            parts.append(self.subresource)
        return "/".join(parts)

    @classmethod
    def parse(
        cls, method: str, path: str, query: Mapping[str, str], user_agent: str = ""
    ) -> Request:
        """Classify a request by its line, as kube-apiserver does for RBAC and audit."""
        group, version, rest = _api(path)
        namespace = ""
        if rest[2:] and rest[0] == "namespaces" and rest[2] not in _NAMESPACE_SUBRESOURCES:
            namespace, rest = rest[1], rest[2:]
        resource, name, subresource = (*rest, "", "", "")[:3]
        return cls(
            verb=_verb(method, query, resource=resource, name=name),
            method=method,
            path=path,
            group=group,
            version=version,
            resource=resource,
            subresource=subresource,
            namespace=namespace,
            name=name,
            user_agent=user_agent,
        )


def _api(path: str) -> tuple[str, str, list[str]]:
    """Split a path into group, version and the rest; no rest means it names no resource."""
    match [part for part in path.split("/") if part]:
        case ["api", version, *rest] if rest:
            return "", version, rest
        case ["apis", group, version, *rest] if rest:
            return group, version, rest
    return "", "", []


def _verb(method: str, query: Mapping[str, str], *, resource: str, name: str) -> str:
    if not resource:
        return method.lower()
    if method in ("GET", "HEAD"):
        if query.get("watch") in _TRUE:
            return "watch"
        return "get" if name else "list"
    if method == "DELETE" and not name:
        return "deletecollection"
    return _VERBS.get(method, method.lower())


class RequestLog:
    """Requests in the order they arrived. Written by one thread, read by any."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._lock = threading.Lock()

    def append(self, request: Request) -> None:
        """Record one request."""
        with self._lock:
            self._requests.append(request)

    def clear(self) -> None:
        """Start counting afresh."""
        with self._lock:
            self._requests.clear()

    def requests(self, *, resource: str | None = None, user_agent: str = "") -> list[Request]:
        """Return what was asked so far, of one resource or by one kind of client."""
        with self._lock:
            return [
                request
                for request in self._requests
                if resource in (None, request.resource) and user_agent in request.user_agent
            ]

    def counts(
        self, *, resource: str | None = None, user_agent: str = ""
    ) -> Counter[tuple[str, str, str]]:
        """Count requests for resources by (verb, resource, subresource)."""
        return Counter(
            (request.verb, request.resource, request.subresource)
            for request in self.requests(resource=resource, user_agent=user_agent)
            if request.resource
        )
