"""The table of kopf handlers of the operator's own namespace."""

from __future__ import annotations

from typing import Any

import kopf

from eatool.kube.credentials import login
from eatool.kube.handlers import configure
from eatool.kube.platform.operator import PlatformOperator
from eatool.kube.platform.resources import RESOURCES, Resource
from eatool.publishing.declared import API_GROUP, API_VERSION


def platform_handlers(operator: PlatformOperator) -> kopf.OperatorRegistry:
    """Registry with all handlers of the platform's operator."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(login)
    for resource in RESOURCES:
        _watch(registry, resource, operator)

    @kopf.on.event("", "v1", "secrets", registry=registry)
    async def secret_sighted(name: str | None, **_: Any) -> None:
        # Only that it may have changed: what is in it is read when a broker needs it.
        operator.secret_sighted(name or "")

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings, clusterwide=False)
        await operator.start()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await operator.stop()

    return registry


def _watch(registry: kopf.OperatorRegistry, resource: Resource, operator: PlatformOperator) -> None:
    @kopf.on.event(API_GROUP, API_VERSION, resource.plural, registry=registry)
    async def sighted(event: kopf.RawEvent, **_: Any) -> None:
        operator.sighted(resource, event["type"], dict(event["object"]))
