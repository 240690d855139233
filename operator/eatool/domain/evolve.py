"""From events to state. Every event carries the whole entity after it, so folding is cheap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from eatool.domain.decision import EntityState
from eatool.domain.events import Created, Deleted, EntityEvent, JsonObject
from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntityKind
from eatool.domain.upcasting import UnknownEventType


class BrokenStream(Exception):
    """Events that cannot follow each other: a gap in the versions, an update of nothing."""


def read_event(kind: EntityKind, versioned_type: str, data: JsonObject) -> EntityEvent[Any]:
    """A recorded event, already upcast; ``UnknownEventType`` when this release cannot read it.

    The text names the fields that do not fit, never their values.
    """
    event_class = next((cls for cls in kind.events if cls.versioned_type() == versioned_type), None)
    if event_class is None:
        raise UnknownEventType(f"{versioned_type}: {kind.kind} of this release has no such event")
    try:
        return event_class.from_data(data, kind.spec)
    except ValidationError as unfit:
        fields = {".".join(map(str, error["loc"])) for error in unfit.errors(include_input=False)}
    raise UnknownEventType(
        f"{versioned_type}: this release cannot read {', '.join(sorted(fields))}; "
        "its rules became stricter without an upcaster"
    )


def evolve(state: EntityState, event: EntityEvent[Any]) -> EntityState:
    """State after one more event."""
    if state.exists is isinstance(event, Created):
        raise BrokenStream(
            f"{state.ref}: {event.versioned_type()} cannot follow version {state.version}"
        )
    spec = None if isinstance(event, Deleted) else event.entity
    return replace(state, version=state.version + 1, spec=spec)


def fold(
    kind: EntityKind, ref: EntityRef, recorded: Iterable[tuple[str, JsonObject, int]]
) -> EntityState:
    """State after a whole stream of (versioned type, data, version), already upcast.

    Only the last payload is read: it holds the entire entity. Raises :class:`BrokenStream` when
    versions are not 1, 2, 3, ... and ``UnknownEventType`` for an event of another kind or release.
    """
    version, last = 0, None
    for last in recorded:
        version += 1
        if last[2] != version:
            raise BrokenStream(f"{ref}: version {last[2]} where {version} was expected")
    if last is None:
        return EntityState(ref)
    versioned_type, data, _ = last
    if versioned_type == kind.event_class(Deleted).versioned_type():
        return EntityState(ref, version)  # whatever rules its last state once obeyed
    return EntityState(ref, version, read_event(kind, versioned_type, data).entity)
