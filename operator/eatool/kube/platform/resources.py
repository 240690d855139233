"""The resources of the platform group, and the names the operator puts on them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from eatool.domain.kind import CelRule, SpecObject
from eatool.publishing.declared import API_GROUP, API_VERSION
from eatool.publishing.declared.broker import EventBrokerSpec
from eatool.publishing.declared.broker_rules import BROKER_CEL
from eatool.publishing.declared.fields import NAME_MAX
from eatool.publishing.declared.parked import ParkedStreamSpec
from eatool.publishing.declared.replay import REPLAY_CEL, EventReplaySpec

Body = dict[str, Any]

#: What ``kubectl get ea-platform`` lists.
CATEGORY: Final = "ea-platform"

#: On a ParkedStream: any new value sends what was passed over; echoed in the status.
RESEND: Final = f"{API_GROUP}/resend"
#: On a ParkedStream: the EventBroker it belongs to.
BROKER_LABEL: Final = f"{API_GROUP}/broker"

_HASH_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of the platform group.

    Attributes:
        short_names: for kubectl.
        spec: model of ``spec``; its docstring describes the kind.
        cel: what the API server checks on ``spec`` beyond the types.
        name_max: longest ``metadata.name``.
        scope: whether an object belongs to a namespace.
        rules: what the API server checks on the whole object.

    """

    kind: str
    plural: str
    short_names: tuple[str, ...]
    spec: type[SpecObject]
    cel: tuple[CelRule, ...]
    name_max: int
    scope: Literal["Namespaced", "Cluster"] = "Namespaced"
    rules: tuple[CelRule, ...] = ()

    @property
    def api_version(self) -> str:
        """``platform.eatool.io/v1alpha1``."""
        return f"{API_GROUP}/{API_VERSION}"


EVENT_BROKER: Final = Resource(
    "EventBroker", "eventbrokers", ("eb",), EventBrokerSpec, BROKER_CEL, NAME_MAX
)
EVENT_REPLAY: Final = Resource(
    "EventReplay", "eventreplays", ("er",), EventReplaySpec, REPLAY_CEL, NAME_MAX
)
PARKED_STREAM: Final = Resource(
    "ParkedStream",
    "parkedstreams",
    ("pks",),
    ParkedStreamSpec,
    (CelRule("self == oldSelf", "spec is immutable; the operator writes it"),),
    NAME_MAX + 1 + _HASH_DIGITS,
)
RESOURCES: Final = (EVENT_BROKER, EVENT_REPLAY, PARKED_STREAM)


class Key(NamedTuple):
    """One object of the operator's namespace; ``plural`` is that of its resource."""

    plural: str
    name: str


def key_of(resource: Resource, body: Mapping[str, Any]) -> Key:
    """The key of an object."""
    return Key(resource.plural, body["metadata"]["name"])


def parked_name(broker: str, stream_id: str) -> str:
    """Name of the ParkedStream of a stream: the same in every process."""
    digest = hashlib.sha256(stream_id.encode()).hexdigest()
    return f"{broker}-{digest[:_HASH_DIGITS]}"


def checkpoint_of(replay: Mapping[str, Any]) -> str:
    """Name that a replay's progress is kept under, without the ``replay/`` of its destination.

    The object's uid is part of it: an EventReplay that is created again runs again.
    """
    metadata = replay["metadata"]
    return f"{metadata['name']}-{metadata['uid'].partition('-')[0]}"
