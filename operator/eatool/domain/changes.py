"""From two specs to events: the diff, split into the facts that consumers subscribe to."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from eatool.domain.events import Created, Deleted, EntityEvent, FieldChange, Updated
from eatool.domain.kind import EntityKind, EntitySpec


def created(kind: EntityKind, spec: EntitySpec) -> EntityEvent[Any]:
    """The first event of an incarnation; every field that is set counts as changed."""
    changes = {
        name: FieldChange(None, value)
        for name, value in _json(spec).items()
        if value is not None and value != []
    }
    event: EntityEvent[Any] = kind.event_class(Created)(entity=spec, changes=changes)
    return event


def deleted(kind: EntityKind, spec: EntitySpec) -> EntityEvent[Any]:
    """The last event of an incarnation; nothing changed but its existence."""
    event: EntityEvent[Any] = kind.event_class(Deleted)(entity=spec, changes={})
    return event


def changed(kind: EntityKind, old: EntitySpec, new: EntitySpec) -> tuple[EntityEvent[Any], ...]:
    """Events that lead from ``old`` to ``new``, none when they are equal.

    Each marked field (with its companions) makes an event of its own, all plain fields make one;
    every snapshot is the entity after the events so far. The order is the one in which every
    snapshot obeys the kind's rules: state changes first, or plain fields first where a state
    forbids what was there before (an application that leaves its sunset date behind).
    """
    before, after = _json(old), _json(new)
    names = [name for name in after if before[name] != after[name]]
    groups: dict[type[EntityEvent[Any]], list[str]] = {}
    for cls in kind.events:
        if group := [name for name in names if kind.marked.get(name) is cls]:
            groups[cls] = group
    plain = [name for name in names if name not in kind.marked]
    last = [(kind.event_class(Updated), plain)] if plain else []
    orders = ([*groups.items(), *last], [*last, *groups.items()])
    candidates = (_build(order, old, new, before, after) for order in orders)
    preferred = next(candidates)
    if _consistent(kind, preferred):
        return preferred
    return next((events for events in candidates if _consistent(kind, events)), preferred)


def _build(
    order: Iterable[tuple[type[EntityEvent[Any]], list[str]]],
    old: EntitySpec,
    new: EntitySpec,
    before: dict[str, Any],
    after: dict[str, Any],
) -> tuple[EntityEvent[Any], ...]:
    events: list[EntityEvent[Any]] = []
    entity = old
    for cls, names in order:
        entity = entity.model_copy(update={name: getattr(new, name) for name in names})
        changes = {name: FieldChange(before[name], after[name]) for name in names}
        events.append(cls(entity=entity, changes=changes))
    return tuple(events)


def _consistent(kind: EntityKind, events: tuple[EntityEvent[Any], ...]) -> bool:
    return not any(
        error
        for earlier, _ in pairwise(events)
        for rule in kind.spec_rules
        for error in rule(earlier.entity)
    )


def _json(spec: EntitySpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", by_alias=False)
