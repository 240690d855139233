"""The EventSourcingRollout resource, and the names around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.kube.platform.resources import Resource
from eatool.publishing.declared import API_GROUP
from eatool.rollout.declared import EventSourcingRolloutSpec
from eatool.rollout.declared_rules import ROLLOUT_CEL, ROLLOUT_NAME_CEL

EVENT_SOURCING_ROLLOUT: Final = Resource(
    "EventSourcingRollout",
    "eventsourcingrollouts",
    ("esr",),
    EventSourcingRolloutSpec,
    ROLLOUT_CEL,
    63,
    scope="Cluster",
    rules=(ROLLOUT_NAME_CEL,),
)

#: The transition that somebody approves, ``ID`` or ``ID/GATE``; any other value does nothing.
APPROVE: Final = f"{API_GROUP}/approve"
#: Stamped by the admission policy with the user who wrote the approval.
APPROVED_BY: Final = f"{API_GROUP}/approved-by"

_BY_NAME: Final[Mapping[str, EntityKind]] = {kind.kind.lower(): kind for kind in KINDS.values()}


def kind_of(name: str) -> EntityKind | None:
    """The kind that the rollout called ``name`` is of."""
    return _BY_NAME.get(name)


def name_of(aggregate_type: str) -> str:
    """Name of a kind's rollout: ``dataentity``."""
    return KINDS[aggregate_type].kind.lower()


def annotations_of(body: Mapping[str, Any]) -> Mapping[str, str]:
    """The annotations of an object."""
    return body["metadata"].get("annotations") or {}
