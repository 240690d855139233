"""What published events are about: entities of each kind, and the registry itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from eatool.contract.rollout import ENTITY_TYPE
from eatool.domain.events import JsonObject
from eatool.domain.kinds import KINDS, REGISTRY_EVENTS, event_types
from eatool.domain.upcasting import split


@dataclass(frozen=True, slots=True)
class Subject:
    """What events are about.

    Attributes:
        entity_type: first part of their streams.
        identified: what the last part is.
        types: versioned.

    """

    name: str
    description: str
    entity_type: str
    identified: str
    types: tuple[str, ...] = ()


_ROLLOUT: Final = Subject(
    "Rollout",
    "How a kind moves from the tables of an older registry to the event log, phase by phase.",
    ENTITY_TYPE,
    "The kind that moves, as in the topics of its entities: `application`.",
)


def subjects_of(schemas: Mapping[str, JsonObject]) -> list[Subject]:
    """Every kind and the registry itself, each with its types of this and older versions."""
    owner = {event.__name__: kind.aggregate_type for kind, event in event_types().values()}
    owner |= dict.fromkeys(REGISTRY_EVENTS, ENTITY_TYPE)
    found: dict[str, list[str]] = defaultdict(list)
    for name in schemas:
        if "." in name:
            found[owner[split(name)[0]]].append(name)
    kinds = [
        Subject(
            kind.kind,
            kind.description,
            kind.aggregate_type,
            "`metadata.name` of the entity.",
            tuple(found[kind.aggregate_type]),
        )
        for kind in KINDS.values()
    ]
    return [*kinds, replace(_ROLLOUT, types=tuple(found[ENTITY_TYPE]))]
