"""The kinds of the registry: one module each, discovered, never listed.

Adding a kind is adding a module here with a ``KIND``; removing its file removes it.

Stored events are read through today's spec models. A rule of one field that becomes stricter (a
new required field, a shorter limit) makes old events unreadable, so it comes with a new
``schema_version`` of the kind's events and upcasters that make old payloads fit. Rules between
fields live in ``spec_rules``, which reading does not apply: they may change at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

from eatool.domain.events import EntityEvent, JsonObject
from eatool.domain.kind import EntityKind
from eatool.domain.upcasting import DowncasterChain, UpcasterChain

EventTypes = Mapping[str, tuple[EntityKind, type[EntityEvent[Any]]]]


def index_kinds(kinds: Iterable[EntityKind]) -> Mapping[str, EntityKind]:
    """Kinds by aggregate type; ``TypeError`` when two share a name that must tell them apart."""
    by_type: dict[str, EntityKind] = {}
    taken: dict[tuple[str, str], str] = {}
    for kind in kinds:
        names = {
            ("aggregate type", kind.aggregate_type),
            ("kind", kind.kind),
            ("plural", kind.plural),
            ("path", kind.path),
            *(("short name", short) for short in kind.short_names),
        }
        for name in sorted(names):
            if other := taken.get(name):
                raise TypeError(f"{kind.kind} and {other} share the {name[0]} {name[1]!r}")
            taken[name] = kind.kind
        by_type[kind.aggregate_type] = kind
    return MappingProxyType(by_type)


def index_events(kinds: Iterable[EntityKind]) -> EventTypes:
    """Event classes with their kind by versioned type; ``TypeError`` when two share a name."""
    index: dict[str, tuple[EntityKind, type[EntityEvent[Any]]]] = {}
    owner: dict[str, str] = {}
    for kind in kinds:
        for event in kind.events:
            if other := owner.get(event.__name__):
                raise TypeError(f"{kind.kind} and {other} share the event {event.__name__}")
            owner[event.__name__] = kind.kind
            index[event.versioned_type()] = (kind, event)
    return MappingProxyType(index)


def _discover() -> list[EntityKind]:
    modules = sorted(module.name for module in iter_modules(__path__))
    return [import_module(f"{__name__}.{module}").KIND for module in modules]


#: Every kind by aggregate type (``application_service``), in alphabetical order.
KINDS: Mapping[str, EntityKind] = index_kinds(_discover())
_BY_KIND = {kind.kind: kind for kind in KINDS.values()}
_EVENT_TYPES = index_events(KINDS.values())
#: Newest versions of events that are about the registry itself, not about one of its entities.
REGISTRY_EVENTS: Mapping[str, int] = MappingProxyType(
    {"RolloutPhaseChanged": 1, "LegacyTableDropped": 1}
)
_VERSIONS = dict(REGISTRY_EVENTS) | {
    event.__name__: event.schema_version for _, event in _EVENT_TYPES.values()
}
_UPCASTERS = UpcasterChain((step for kind in KINDS.values() for step in kind.upcasters), _VERSIONS)
_DOWNCASTERS = DowncasterChain(
    (step for kind in KINDS.values() for step in kind.downcasters), _VERSIONS
)


def by_kind(kind: str) -> EntityKind:
    """The kind named as in a manifest (``ApplicationService``); ``KeyError`` for any other."""
    return _BY_KIND[kind]


def event_types() -> EventTypes:
    """Kind and class of every versioned type of this release, ``ApplicationCreated.v1`` etc."""
    return _EVENT_TYPES


def upcast(versioned_type: str, data: JsonObject) -> tuple[str, JsonObject]:
    """A stored event at the newest version of its type; raises ``UnknownEventType``."""
    return _UPCASTERS.upcast(versioned_type, data)


def downcast(versioned_type: str, data: JsonObject, to_version: int) -> tuple[str, JsonObject]:
    """An event at an older version of its type; raises ``UnknownEventType`` without a way."""
    return _DOWNCASTERS.downcast(versioned_type, data, to_version)


def versions(event_type: str) -> range:
    """Versions in which an event type (``ApplicationCreated``) can be published, oldest first.

    ``UnknownEventType`` for a name that is none.
    """
    return _DOWNCASTERS.versions(event_type)
