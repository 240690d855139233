"""kstatus, as Flux, kpt and Argo CD read an object (the generic rules for custom resources)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Verdict = Literal["Terminating", "InProgress", "Failed", "Current"]


def kstatus(body: Mapping[str, Any]) -> Verdict:
    metadata, status = body["metadata"], body.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata["generation"]:
        return "InProgress"
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions") or ()}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if conditions.get("Ready", "True") != "True":
        return "InProgress"
    return "Current"


def kubectl_wait_ready(body: Mapping[str, Any]) -> bool:
    """``kubectl wait --for=condition=Ready``: a condition that speaks of this generation."""
    for entry in (body.get("status") or {}).get("conditions") or ():
        if entry["type"] == "Ready":
            observed = entry.get("observedGeneration", body["metadata"]["generation"])
            return bool(observed >= body["metadata"]["generation"] and entry["status"] == "True")
    return False
