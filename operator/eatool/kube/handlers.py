"""The kopf handlers of the registry's kinds: every kind has the same entry.

kopf watches and hands over sightings; the operator decides which of them call for work.
"""

from __future__ import annotations

from functools import partial

import kopf

from eatool.domain.kinds import KINDS
from eatool.kube.operator import Operator
from eatool.kube.registration import hand_over, registry_of


def handlers(operator: Operator) -> kopf.OperatorRegistry:
    """Registry with all handlers of the operator."""
    registry = registry_of(operator, clusterwide=operator.clusterwide)
    for kind in KINDS.values():
        sighted = partial(operator.sighted, kind)
        hand_over(registry, kind.api_group, kind.api_version, kind.plural, sighted)
    return registry
