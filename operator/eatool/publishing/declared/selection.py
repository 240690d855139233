"""Which events of the log: the ``select`` part of brokers and replays."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from eatool.domain.kind import SpecObject
from eatool.domain.text import SetOf, Text

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
