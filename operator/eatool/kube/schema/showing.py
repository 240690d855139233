"""How objects present themselves: printer columns and the pieces of a status schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eatool.kube.schema.status import counter
from eatool.kube.schema.structural import JsonObject

KSTATUS: Final = "Where it stands, in kstatus terms."
AGE: Final[JsonObject] = {
    "name": "Age",
    "type": "date",
    "jsonPath": ".metadata.creationTimestamp",
}
OBSERVED: Final = counter(
    "Generation of the spec this status speaks of; -1 before the operator has seen the object.",
    minimum=-1,
)


@dataclass(frozen=True, slots=True)
class Shown:
    """How objects of a resource present themselves."""

    columns: tuple[JsonObject, ...]
    selectable: tuple[str, ...]
    status: Mapping[str, JsonObject]


def column(name: str, type_: str, path: str, *, wide: bool = False) -> JsonObject:
    """A printer column; ``wide``: only with ``-o wide``."""
    made: JsonObject = {"name": name, "type": type_, "jsonPath": path}
    return {**made, "priority": 1} if wide else made


def condition(name: str, type_: str, part: str = "status", *, wide: bool = False) -> JsonObject:
    """A column with a part of a condition."""
    path = f'.status.conditions[?(@.type=="{type_}")].{part}'
    return column(name, "string", path, wide=wide)


def time(description: str) -> JsonObject:
    """A timestamp."""
    return {"description": description, "type": "string", "format": "date-time"}


def choice(description: str, *values: str) -> JsonObject:
    """One of a few texts."""
    return {"description": description, "type": "string", "enum": list(values)}
