"""Unique and shared keys: what an entity holds, and who else holds it already.

A key belongs to a category (kind and namespace). The landscape tells early who the holder is; the
store reserves the keys in the append transaction, so of two racing claims one is refused there.

A shared key gathers the entities that could clash. Whether two do is for the kind to say, so the
store cannot decide it; it makes sure instead that the decision knew every holder as it is. An edge
set changes seldom at the same time twice, and relations between other ends never meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eatool.domain.errors import Code, FieldError
from eatool.domain.identity import EntityRef
from eatool.domain.kind import Conflict, EntityKind, EntitySpec
from eatool.domain.landscape import Fact, Landscape, SharedHold, Sharer
from eatool.domain.rules import SharedKey


def keys_of(kind: EntityKind, ref: EntityRef, spec: EntitySpec) -> frozenset[str]:
    """Keys as the store reserves them: ``organization/default/sibling:/acme``."""
    return frozenset(f"{ref.category}/{key}" for key in kind.unique_keys(spec))


def taken_keys(
    kind: EntityKind,
    ref: EntityRef,
    old: EntitySpec | None,
    new: EntitySpec,
    landscape: Landscape,
) -> Iterator[Conflict]:
    """Complaints about keys that the entity does not hold yet and another one does."""
    for unique in kind.unique:
        key = unique.key(new)
        if old is not None and key == unique.key(old):
            continue
        holder = landscape.holder(f"{ref.category}/{key}")
        if holder is not None and holder != ref:
            yield held_by(holder, new.path_of(unique.field), unique.message)


@dataclass(frozen=True, slots=True)
class Sharing:
    """One shared key of a spec: the others who hold it, and those of them that clash."""

    path: str
    declared: SharedKey
    key: str
    others: tuple[Sharer, ...]
    clashing: tuple[Sharer, ...]

    def complaints(self) -> Iterator[Conflict]:
        """Why the entity must not, or should not, stand beside the others."""
        for other in self.clashing:
            yield held_by(other.ref, self.path, self.declared.message)

    def hold(self) -> SharedHold:
        """What the store must still find; nothing where a clash is no obstacle."""
        if self.declared.advisory:
            return SharedHold(self.key)
        return SharedHold(self.key, frozenset((each.ref, each.version) for each in self.others))

    def depends_on(self) -> Iterator[Fact]:
        """What would have to change for the complaints to go."""
        for other in self.clashing:
            yield from (Fact(other.ref, name) for name in self.declared.fields)


def sharing(
    kind: EntityKind, ref: EntityRef, spec: EntitySpec, landscape: Landscape
) -> list[Sharing]:
    """Look up who else holds the shared keys of ``spec``."""
    found = []
    for declared in kind.shared:
        key = f"{ref.category}/{declared.key(spec)}"
        others = tuple(each for each in landscape.sharers(key) if each.ref != ref)
        clashing = tuple(each for each in others if declared.clash(spec, each.spec))
        found.append(Sharing(spec.path_of(declared.field), declared, key, others, clashing))
    return found


def advice(
    kind: EntityKind, ref: EntityRef, spec: EntitySpec, landscape: Landscape
) -> list[tuple[FieldError, frozenset[Fact]]]:
    """Clashes that are no obstacle now, each with what would have to change for it to go."""
    return [
        (complaint.error, frozenset(each.depends_on()))
        for each in sharing(kind, ref, spec, landscape)
        if each.declared.advisory
        for complaint in each.complaints()
    ]


def held_by(holder: EntityRef, path: str, message: str) -> Conflict:
    """The complaint that ``holder`` was first; names the holder, never the value."""
    error = FieldError(path, Code.ALREADY_EXISTS, f"{message}; {holder.called} has it already")
    return Conflict(error, frozenset({holder}))
