"""The table of kopf handlers of rollouts, watched in the whole cluster."""

from __future__ import annotations

from typing import Any

import kopf

from eatool.kube.credentials import login
from eatool.kube.handlers import configure
from eatool.kube.rollout.operator import RolloutOperator
from eatool.kube.rollout.resource import EVENT_SOURCING_ROLLOUT
from eatool.publishing.declared import API_GROUP, API_VERSION


def rollout_handlers(operator: RolloutOperator) -> kopf.OperatorRegistry:
    """Registry with all handlers of the rollouts' operator."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(login)

    @kopf.on.event(API_GROUP, API_VERSION, EVENT_SOURCING_ROLLOUT.plural, registry=registry)
    async def sighted(event: kopf.RawEvent, **_: Any) -> None:
        operator.sighted(event["type"], dict(event["object"]))

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        # Its rights end at this one resource: nothing to scan.
        configure(settings, clusterwide=False)
        await operator.start()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await operator.stop()

    return registry
