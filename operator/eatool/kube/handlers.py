"""The table of kopf handlers. kopf watches and hands over sightings; everything else is ours.

Every kind has the same entry: each sighting of an object goes to the operator, which decides
whether it calls for work. kopf's change detection (last-handled annotations, progress, retries)
is not used: it counts failed changes as handled and costs API writes, and the log knows better
what has been recorded.
"""

from __future__ import annotations

from typing import Any

import kopf

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.kube.credentials import login
from eatool.kube.operator import Operator


def handlers(operator: Operator) -> kopf.OperatorRegistry:
    """Registry with all handlers of the operator."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(login)
    for kind in KINDS.values():
        _watch(registry, kind, operator)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings, clusterwide=operator.clusterwide)
        await operator.start()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await operator.stop()

    return registry


def configure(settings: kopf.OperatorSettings, *, clusterwide: bool) -> None:
    """Settings of kopf; only what differs from its defaults."""
    # Log lines must not become Kubernetes events, one API request each; condition transitions are
    # announced instead, on purpose and rarely.
    settings.posting.loggers = False
    # One worker task per object ends soon after its last event: sightings are handed over at
    # once, so keeping 10,000 of them idle only costs memory.
    settings.queueing.idle_timeout = 1.0
    # A dead connection shows as silence; the API server sends a bookmark every 60 s.
    settings.watching.inactivity_timeout = 70.0
    settings.networking.request_timeout = 30.0
    # A Role cannot grant reading CRDs and namespaces; kopf would retry its refusal for a minute
    # with all watches closed (nolar/kopf#1153).
    settings.scanning.disabled = not clusterwide


def _watch(registry: kopf.OperatorRegistry, kind: EntityKind, operator: Operator) -> None:
    @kopf.on.event(kind.api_group, kind.api_version, kind.plural, registry=registry)
    async def sighted(event: kopf.RawEvent, **_: Any) -> None:
        operator.sighted(kind, event["type"], dict(event["object"]))
