"""Which events of the log: the ``select`` part of brokers and replays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import Field

from eatool.domain.kind import CelRule, SpecObject
from eatool.domain.kinds import KINDS, event_types
from eatool.domain.text import SetOf, Text
from eatool.domain.upcasting import split

KindName = Annotated[
    str, Text(50, pattern=r"[A-Z][A-Za-z]+", legal="a kind such as Application, as in manifests")
]
EventTypeName = Annotated[
    str,
    Text(100, pattern=r"[A-Z][A-Za-z]+", legal="an event type such as ApplicationCreated"),
]
NamespaceName = Annotated[
    str,
    Text(
        63,
        pattern=r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?",
        legal="the name of a namespace",
        trim=False,
    ),
]


class SelectionSpec(SpecObject):
    """An event must pass every list that is not empty."""

    kinds: Annotated[tuple[KindName, ...], SetOf(50)] = Field(
        (), description="Kinds of entities; all when empty."
    )
    event_types: Annotated[tuple[EventTypeName, ...], SetOf(200)] = Field(
        (),
        description="Event types; all when empty. Consumers cannot detect gaps in such a "
        "selection.",
    )
    namespaces: Annotated[tuple[NamespaceName, ...], SetOf(200)] = Field(
        (), description="Namespaces of entities; all when empty."
    )


def one_of(names: Iterable[str]) -> str:
    """A list of CEL with ``names``."""
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


_KIND_NAMES: Final = [kind.kind for kind in KINDS.values()]
#: What an event type may be called, without its version, as a list of CEL.
EVENT_TYPE_NAMES: Final = one_of(sorted({split(versioned)[0] for versioned in event_types()}))
EVENT_TYPE_HELP: Final = "such as ApplicationCreated; docs/reference lists those of each kind"

#: A misspelt name would select nothing.
SELECTION_CEL: Final[tuple[CelRule, ...]] = (
    CelRule(
        "!has(self.select) || !has(self.select.kinds) || "
        f"self.select.kinds.all(k, k in {one_of(_KIND_NAMES)})",
        f"select.kinds must be of {', '.join(_KIND_NAMES)}",
        ".select.kinds",
    ),
    CelRule(
        "!has(self.select) || !has(self.select.eventTypes) || "
        f"self.select.eventTypes.all(t, t in {EVENT_TYPE_NAMES})",
        f"select.eventTypes must be event types, {EVENT_TYPE_HELP}",
        ".select.eventTypes",
    ),
)
