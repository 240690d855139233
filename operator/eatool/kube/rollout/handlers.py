"""The kopf handlers of rollouts, watched in the whole cluster."""

from __future__ import annotations

import kopf

from eatool.kube.registration import hand_over, registry_of
from eatool.kube.rollout.operator import RolloutOperator
from eatool.kube.rollout.resource import EVENT_SOURCING_ROLLOUT
from eatool.publishing.declared import API_GROUP, API_VERSION


def rollout_handlers(operator: RolloutOperator) -> kopf.OperatorRegistry:
    """Registry with all handlers of the rollouts' operator."""
    # Its rights end at this one resource: nothing to scan.
    registry = registry_of(operator, clusterwide=False)
    plural = EVENT_SOURCING_ROLLOUT.plural
    hand_over(registry, API_GROUP, API_VERSION, plural, operator.sighted)
    return registry
