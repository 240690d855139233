"""Kubernetes objects as the API server would send them."""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]

SERVER = {"hostname": "db-1.example", "environment": "prod", "criticality": "high"}


def server(
    name: str = "db-1",
    *,
    uid: str = "u1",
    version: int = 1,
    generation: int = 1,
    deleted: bool = False,
    finalizers: tuple[str, ...] = (),
    annotations: dict[str, str] | None = None,
    status: Body | None = None,
    spec: Body | None = None,
) -> Body:
    metadata: Body = {
        "name": name,
        "namespace": "default",
        "uid": uid,
        "resourceVersion": str(version),
        "generation": generation,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "finalizers": list(finalizers),
        "annotations": annotations or {},
    }
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    return {
        "apiVersion": "eatool.io/v1alpha1",
        "kind": "Server",
        "metadata": metadata,
        "spec": SERVER if spec is None else spec,
        "status": {"observedGeneration": -1} if status is None else status,
    }
