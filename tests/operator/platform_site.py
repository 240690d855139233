"""Brokers, replays and Secrets of one namespace, as an administrator handles them."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from tests.crds.server import MERGE, Kubectl
from tests.operator.operators import until

from eatool.dev.apiclient import ApiClient
from eatool.kube.platform.resources import (
    EVENT_BROKER,
    EVENT_REPLAY,
    PARKED_STREAM,
    RESEND,
    Resource,
    parked_name,
)
from eatool.publishing.declared import API_GROUP, API_VERSION

Body = dict[str, Any]


class PlatformSite:
    """Kubernetes objects of the platform group."""

    def __init__(self, client: ApiClient, namespace: str, kubectl: Path, kubeconfig: Path) -> None:
        self.client = client
        self.namespace = namespace
        self.kubectl = Kubectl(kubectl, kubeconfig, namespace)

    def path(self, resource: Resource, name: str = "") -> str:
        base = f"/apis/{API_GROUP}/{API_VERSION}/namespaces/{self.namespace}"
        return f"{base}/{resource.plural}/{name}".rstrip("/")

    def create(self, resource: Resource, name: str, **spec: Any) -> Body:
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        return self.client.call("POST", f"{self.path(resource)}?fieldValidation=Strict", body)

    def broker(self, name: str, port: int, **spec: Any) -> Body:
        address = f"mqtt://127.0.0.1:{port}"
        return self.create(EVENT_BROKER, name, type="mqtt", addresses=[address], **spec)

    def replay(self, name: str, broker: str, prefix: str, **spec: Any) -> Body:
        return self.create(EVENT_REPLAY, name, broker=broker, topicPrefix=prefix, **spec)

    def change(self, resource: Resource, name: str, /, **spec: Any) -> Body:
        path = self.path(resource, name)
        return self.client.call("PATCH", path, {"spec": spec}, content_type=MERGE)

    def delete(self, resource: Resource, name: str) -> None:
        self.client.call("DELETE", self.path(resource, name))

    def find(self, resource: Resource, name: str) -> Body | None:
        reply = self.client.request("GET", self.path(resource, name))
        return reply.body if reply.status == 200 else None

    def all(self, resource: Resource) -> list[Body]:
        items: list[Body] = self.client.call("GET", self.path(resource))["items"]
        return items

    def status(self, resource: Resource, name: str) -> Body:
        body = self.find(resource, name) or {}
        status: Body = body.get("status") or {}
        return status

    def condition(self, resource: Resource, name: str, which: str = "Ready") -> Body:
        """A condition that speaks of the present generation; empty when there is none."""
        body = self.find(resource, name) or {}
        for entry in (body.get("status") or {}).get("conditions", ()):
            if (
                entry["type"] == which
                and entry["observedGeneration"] == body["metadata"]["generation"]
            ):
                return dict(entry)
        return {}

    def await_reason(
        self, resource: Resource, name: str, reason: str, *, seconds: float = 30
    ) -> Body:
        """Wait for a reason of Ready; returns the condition."""
        seen: list[str] = []

        def told() -> bool:
            found = self.condition(resource, name).get("reason")
            if found and found not in seen[-1:]:
                seen.append(found)
            return bool(found == reason)

        until(told, lambda: f"{name} says {reason}, it said {seen}", seconds=seconds)
        return self.condition(resource, name)

    def await_state(self, name: str, state: str, *, seconds: float = 60) -> Body:
        def told() -> bool:
            return bool(self.status(EVENT_REPLAY, name).get("state") == state)

        until(told, f"replay {name} is {state}", seconds=seconds)
        return self.status(EVENT_REPLAY, name)

    def await_caught_up(self, name: str, *, seconds: float = 30) -> Body:
        """The status says that the broker has everything."""

        def told() -> bool:
            status = self.status(EVENT_BROKER, name)
            return bool(status.get("lagEvents") == 0 and status.get("position", 0) > 0)

        until(told, f"{name} has caught up", seconds=seconds)
        return self.status(EVENT_BROKER, name)

    def await_position(self, name: str, position: int, *, seconds: float = 30) -> None:
        """The broker has what it is to be sent of the log up to there."""

        def through() -> bool:
            return bool(self.status(EVENT_BROKER, name).get("position") == position)

        until(through, f"{name} is at {position}", seconds=seconds)

    def parked(self, broker: str, stream_id: str) -> Body | None:
        return self.find(PARKED_STREAM, parked_name(broker, stream_id))

    def ask_for_resend(self, broker: str, stream_id: str, value: str) -> None:
        name = parked_name(broker, stream_id)
        self.kubectl("annotate", "parkedstream", name, f"{RESEND}={value}", "--overwrite")

    def secret(self, name: str, **data: str) -> None:
        """Create or replace a Secret."""
        path = f"/api/v1/namespaces/{self.namespace}/secrets"
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        body = {"metadata": {"name": name}, "data": encoded}
        if self.client.request("GET", f"{path}/{name}").status == 200:
            self.client.call("PUT", f"{path}/{name}", body)
        else:
            self.client.call("POST", path, body)

    def events(self, name: str) -> list[tuple[str, str]]:
        """Type and reason of the Kubernetes events about an object, oldest first."""
        path = f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"
        items = self.client.call("GET", path)["items"]
        about = (item for item in items if item["regarding"]["name"] == name)
        return [(each["type"], each["reason"]) for each in sorted(about, key=_time)]

    def row(self, name: str) -> dict[str, str]:
        """What ``kubectl get eventbrokers`` prints about one, by column."""
        header, *rows = self.kubectl("get", "eventbrokers").splitlines()
        (row,) = (row for row in rows if row.split()[0] == name)
        columns = list(re.finditer(r"\S+\s*", header))  # a cell may be empty
        return {cell[0].strip(): row[cell.start() : cell.end()].strip() for cell in columns}


def _time(event: Body) -> str:
    return str(event["eventTime"])
