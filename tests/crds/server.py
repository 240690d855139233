"""Talk to the API server about entities."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eatool.dev.apiclient import ApiClient, Reply
from eatool.domain.kinds import by_kind
from eatool.kube.platform.resources import Resource

JsonObject = dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


def apply(client: ApiClient, path: str, document: Mapping[str, Any]) -> JsonObject:
    """Server-side apply."""
    return client.call(
        "PATCH", f"{path}?fieldManager=tests&force=true", document, content_type=APPLY
    )


def declared(resource: Resource, name: str, spec: JsonObject) -> JsonObject:
    """An object of the platform group, as somebody would apply it."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name},
        "spec": spec,
    }


@dataclass(frozen=True)
class Cause:
    """One complaint of a refusal."""

    field: str
    message: str


@dataclass(frozen=True)
class Registry:
    """The entities of one namespace; ``dry_run`` is the default: nothing is stored."""

    client: ApiClient
    namespace: str

    def path(self, kind: str, name: str = "") -> str:
        entity = by_kind(kind)
        return "/".join(
            part
            for part in (
                f"/apis/{entity.api_group}/{entity.api_version}/namespaces",
                self.namespace,
                entity.plural,
                name,
            )
            if part
        )

    def manifest(self, kind: str, name: str, spec: JsonObject) -> JsonObject:
        entity = by_kind(kind)
        return {
            "apiVersion": f"{entity.api_group}/{entity.api_version}",
            "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }

    def call(
        self,
        method: str,
        kind: str,
        name: str = "",
        body: JsonObject | None = None,
        *,
        dry_run: bool = True,
        content_type: str = "application/json",
    ) -> Reply:
        """One request as kubectl makes it: strict about unknown fields."""
        query = "?fieldValidation=Strict&fieldManager=tests" + ("&dryRun=All" if dry_run else "")
        return self.client.request(
            method, self.path(kind, name) + query, body, content_type=content_type
        )

    def create(
        self, kind: str, spec: JsonObject, *, name: str = "x", dry_run: bool = True
    ) -> Reply:
        return self.call("POST", kind, body=self.manifest(kind, name, spec), dry_run=dry_run)

    def change(
        self, kind: str, spec: JsonObject, *, name: str = "x", dry_run: bool = True
    ) -> Reply:
        """Merge-patch the spec of a stored entity."""
        return self.call("PATCH", kind, name, {"spec": spec}, dry_run=dry_run, content_type=MERGE)


def causes(reply: Reply) -> set[Cause]:
    """The complaints of a refusal, as (field, message)."""
    details = reply.body.get("details", {}).get("causes", ())
    return {Cause(cause.get("field", ""), cause["message"]) for cause in details}


@dataclass(frozen=True)
class Kubectl:
    """kubectl as one user, in one namespace."""

    program: Path
    kubeconfig: Path
    namespace: str

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """What it prints; fails with what it says on standard error."""
        command = [
            str(self.program),
            f"--kubeconfig={self.kubeconfig}",
            f"--namespace={self.namespace}",
            *arguments,
        ]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
