"""The kopf handlers of the operator's own namespace."""

from __future__ import annotations

from functools import partial

import kopf

from eatool.kube.platform.operator import PlatformOperator
from eatool.kube.platform.resources import RESOURCES, Body
from eatool.kube.registration import hand_over, registry_of
from eatool.publishing.declared import API_GROUP, API_VERSION


def platform_handlers(operator: PlatformOperator) -> kopf.OperatorRegistry:
    """Registry with all handlers of the platform's operator."""
    registry = registry_of(operator, clusterwide=False)
    for resource in RESOURCES:
        sighted = partial(operator.sighted, resource)
        hand_over(registry, API_GROUP, API_VERSION, resource.plural, sighted)

    def secret_sighted(_event_type: str | None, body: Body) -> None:
        # Only that it may have changed: what is in it is read when a broker needs it.
        operator.secret_sighted(body["metadata"]["name"])

    hand_over(registry, "", "v1", "secrets", secret_sighted)
    return registry
