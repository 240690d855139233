"""What a no-op operator costs on kopf as it comes: finalizer, conditions, default storages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import kopf


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Post no Kubernetes event for a log line; all else is kopf's default."""
    settings.posting.enabled = False


@kopf.on.create("eatool.io", "v1alpha1", "servers")
@kopf.on.update("eatool.io", "v1alpha1", "servers")
async def report(meta: kopf.Meta, patch: kopf.Patch, **_: Any) -> None:
    """Say that this generation is ready."""
    generation = meta["generation"]
    patch.status["observedGeneration"] = generation
    patch.status["conditions"] = [
        {
            "type": "Ready",
            "status": "True",
            "observedGeneration": generation,
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "reason": "Recorded",
            "message": "Nothing was done",
        }
    ]


@kopf.on.delete("eatool.io", "v1alpha1", "servers")
async def release(**_: Any) -> None:
    """Let it go."""
