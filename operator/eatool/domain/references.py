"""References: what a spec names, whether it is there, and whether a hierarchy stays a tree.

What is guaranteed: a live entity's hard reference names a live entity, unless the referrer is
itself terminating. A reference is checked when it is new; from then on the *target's* deletion is
refused (``Constraints.references``), so an unrelated edit never fails for a reference it did not
touch. The store checks ``requires_alive`` again under its lock.

Loops: walking up from the new parent must not reach the entity. Two moves, each valid alone, can
close a loop, and so can a move that races with a delete-and-create of its new ancestors; so a move
is refused by the store when any entity of the kind and namespace was moved or deleted after the
decision was based. A creation needs no such condition: nothing alive names an entity that does not
exist (a terminating entity may still, but cannot be named anew, and the walk sees it).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eatool.domain.errors import Code, FieldError
from eatool.domain.events import Deleted
from eatool.domain.identity import EntityRef
from eatool.domain.kind import Conflict, EntityKind, EntitySpec, Ref
from eatool.domain.landscape import Landscape, Pending


@dataclass(frozen=True, slots=True)
class Reference:
    """One value of a reference field, resolved to the entity it names."""

    field: str
    path: str
    target: EntityRef
    hard: bool


def references_of(kind: EntityKind, namespace: str, spec: EntitySpec) -> Iterator[Reference]:
    """Everything the spec names, in field order; free text (``team:``) is left out."""
    for name, mark in kind.references.items():
        value = getattr(spec, name)
        path = spec.path_of(name)
        if isinstance(value, tuple):
            named = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
        else:
            named = [(path, value)] if value is not None else []
        for item_path, item in named:
            if mark.literal_prefix is None or not item.startswith(mark.literal_prefix):
                target = EntityRef(_target_type(mark, spec), namespace, item)
                yield Reference(name, item_path, target, mark.hard)


def _target_type(mark: Ref, spec: EntitySpec) -> str:
    if mark.type_field is not None:
        return str(getattr(spec, mark.type_field))
    if mark.aggregate_type is None:
        raise TypeError("a Ref names an aggregate type or the field that holds it")
    return mark.aggregate_type


def self_references(ref: EntityRef, references: list[Reference]) -> Iterator[FieldError]:
    """Complaints about naming oneself."""
    for reference in references:
        if reference.target == ref:
            yield FieldError(
                reference.path, Code.CIRCULAR_REFERENCE, "must not name the object itself"
            )


@dataclass(frozen=True, slots=True)
class Resolution:
    """What became of the newly added references."""

    requires_alive: frozenset[EntityRef]
    waiting: tuple[FieldError, ...]
    missing: frozenset[EntityRef]
    warnings: tuple[FieldError, ...]


def resolve(
    old: list[Reference], new: list[Reference], landscape: Landscape, pending: Pending
) -> Resolution:
    """Look up the references that ``old`` does not have yet."""
    known = {(reference.target, reference.hard) for reference in old}
    added = [reference for reference in new if (reference.target, reference.hard) not in known]
    alive = landscape.alive([reference.target for reference in added]) if added else set()
    waiting: list[FieldError] = []
    warnings: list[FieldError] = []
    missing: set[EntityRef] = set()
    for reference in added:
        problem = _problem(reference, reference.target in alive, pending)
        if problem is None:
            continue
        if reference.hard:
            waiting.append(problem)
            missing.add(reference.target)
        else:
            warnings.append(problem)
    required = frozenset(reference.target for reference in added if reference.hard)
    return Resolution(required, tuple(waiting), frozenset(missing), tuple(warnings))


def _problem(reference: Reference, alive: bool, pending: Pending) -> FieldError | None:
    target = reference.target
    if not alive:
        return FieldError(
            reference.path,
            Code.REFERENCE_NOT_FOUND,
            f"names {target.called}, which is not recorded in namespace {target.namespace}",
        )
    if target in pending.terminating:
        return FieldError(
            reference.path,
            Code.REFERENCE_TERMINATING,
            f"names {target.called}, which is being deleted",
        )
    return None


def loops(
    kind: EntityKind, ref: EntityRef, spec: EntitySpec, landscape: Landscape, pending: Pending
) -> Iterator[Conflict]:
    """Complaint when the new parent is below the entity, recorded or desired.

    Recorded parents count first; the desired parent of an object that is not recorded yet counts
    too, or two new ones that name each other would wait for ever.
    """
    field = kind.parent_field
    name = getattr(spec, field) if field is not None else None
    if field is None or name is None or name == ref.name:
        return
    visited: list[EntityRef] = []
    node: EntityRef | None = EntityRef(ref.aggregate_type, ref.namespace, name)
    while node is not None and node not in visited:
        if node == ref:
            chain = " -> ".join(step.name for step in (ref, *visited, ref))
            yield Conflict(
                FieldError(
                    spec.path_of(field), Code.CIRCULAR_REFERENCE, f"must not close a loop: {chain}"
                ),
                frozenset(visited),
            )
            return
        visited.append(node)
        node = _parent(node, landscape, pending)


def _parent(node: EntityRef, landscape: Landscape, pending: Pending) -> EntityRef | None:
    recorded = landscape.parent(node)
    if recorded is None and node in pending.parents and not landscape.alive([node]):
        return pending.parents[node]
    return recorded


def move_conditions(kind: EntityKind, ref: EntityRef) -> frozenset[tuple[str, str]]:
    """Events that may not have been recorded in between when the entity gets another parent."""
    moved = kind.marked[kind.parent_field or ""]
    return frozenset(
        (ref.category, f"{event.__name__}.") for event in (moved, kind.event_class(Deleted))
    )
