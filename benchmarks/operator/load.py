"""Objects by the hundred: create, edit and delete them, and see when the operator is through."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from eatool.dev.controlplane import ControlPlane
from eatool.domain.kinds import by_kind

_KIND = by_kind("Server")
_CLIENTS = 8
_PATIENCE = 300.0


class Load:
    """The objects of one namespace; kept-alive connections, straight to the API server."""

    def __init__(self, plane: ControlPlane, objects: int) -> None:
        self._client = plane.client()
        self._local = threading.local()
        self.namespace = f"bench-{uuid.uuid4().hex[:8]}"
        self._names = [f"s-{number}" for number in range(objects)]
        self._client.call("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self._path = (
            f"/apis/{_KIND.api_group}/{_KIND.api_version}"
            f"/namespaces/{self.namespace}/{_KIND.plural}"
        )

    def create(self) -> float:
        """Seconds from the first request to the last object that is ready."""
        return self._timed(self._create, self._all_ready)

    def update(self) -> float:
        """The same for one edit of each object."""
        return self._timed(self._update, self._all_ready)

    def delete(self) -> float:
        """The same for deletions, until nothing is left."""
        return self._timed(self._delete, lambda: not self._items())

    def _timed(self, act: Callable[[str], None], done: Callable[[], bool]) -> float:
        started = time.perf_counter()
        with ThreadPoolExecutor(_CLIENTS) as pool:
            list(pool.map(act, self._names))
        while not done():
            if time.perf_counter() - started > _PATIENCE:
                raise RuntimeError("the operator does not get through")
            time.sleep(0.1)
        return time.perf_counter() - started

    def _create(self, name: str) -> None:
        spec = {"hostname": f"{name}.example", "environment": "prod", "criticality": "high"}
        body = {
            "apiVersion": f"{_KIND.api_group}/{_KIND.api_version}",
            "kind": _KIND.kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        self._call("POST", self._path, body)

    def _update(self, name: str) -> None:
        self._call("PATCH", f"{self._path}/{name}", {"spec": {"region": "north"}})

    def _delete(self, name: str) -> None:
        self._call("DELETE", f"{self._path}/{name}")

    def _all_ready(self) -> bool:
        items = self._items()
        return len(items) == len(self._names) and all(map(_is_ready, items))

    def _items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._client.call("GET", self._path)["items"]
        return items

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            address = urlsplit(self._client.server)
            connection = self._local.connection = http.client.HTTPSConnection(
                address.hostname or "", address.port, context=self._client.context
            )
        patch = "application/merge-patch+json"
        headers = {"Content-Type": patch if method == "PATCH" else "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")


def _is_ready(body: dict[str, Any]) -> bool:
    return any(
        entry["type"] == "Ready"
        and entry["status"] == "True"
        and entry["observedGeneration"] == body["metadata"]["generation"]
        for entry in body.get("status", {}).get("conditions", ())
    )
