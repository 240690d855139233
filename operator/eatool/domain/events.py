"""Domain events: full snapshots of the entity after a change, with the fields that changed.

A type is ``{Name}`` and a schema version; together they are the versioned type
``ApplicationCreated.v1`` that the log stores and brokers see. Each kind's file defines its own
classes on the bases below, and a union of them for people who write handlers::

    class ApplicationLifecycleChanged(StateChanged[ApplicationSpec]):
        field = "lifecycle"

The wire form (``data`` of the envelope) is snake_case JSON::

    {"entity": {"name": "Webshop", ...}, "changes": {"owner": {"old": "a", "new": "b"}}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel

#: JSON object as ``json.loads`` returns it.
JsonObject = dict[str, Any]

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """Old and new canonical value of one snake_case field; ``None`` = not set."""

    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class EntityEvent(Generic[S]):
    """Base of all domain events. ``entity`` is the canonical state after the change."""

    entity: S
    changes: Mapping[str, FieldChange]

    schema_version: ClassVar[int] = 1

    @classmethod
    def versioned_type(cls) -> str:
        """``ApplicationCreated.v1``: what the log stores."""
        return f"{cls.__name__}.v{cls.schema_version}"

    def to_data(self) -> JsonObject:
        """The JSON payload; keys in model order, absent fields as ``null``, lists as ``[]``."""
        return {
            "entity": self.entity.model_dump(mode="json", by_alias=False),
            "changes": {
                name: {"old": change.old, "new": change.new}
                for name, change in self.changes.items()
            },
        }

    @classmethod
    def from_data(cls, data: JsonObject, spec: type[S]) -> Self:
        """Read a stored payload of the *current* schema version (upcast before calling)."""
        return cls(
            entity=spec.model_validate(data["entity"], by_name=True),
            changes={
                name: FieldChange(change["old"], change["new"])
                for name, change in data["changes"].items()
            },
        )


class Created(EntityEvent[S]):
    """The entity exists from now on (again, when its stream already ended in a deletion)."""


class Updated(EntityEvent[S]):
    """Plain fields changed, all of one change set in one event."""


class StateChanged(EntityEvent[S]):
    """One *marked* field changed: a transition consumers subscribe to by name."""

    #: snake_case name of the marked field.
    field: ClassVar[str]
    #: Fields that make one fact with it, such as the other end of a validity window; a change of
    #: any of them is recorded in one event.
    companions: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """The marked field and its companions."""
        return (cls.field, *cls.companions)


class Deleted(EntityEvent[S]):
    """The entity is gone; ``entity`` is its last state."""
