"""Unique keys: what an entity holds, and who else holds it already.

A key belongs to a category (kind and namespace). The landscape tells early who the holder is; the
store reserves the keys in the append transaction, so of two racing claims one is refused there.
"""

from __future__ import annotations

from collections.abc import Iterator

from eatool.domain.errors import Code, FieldError
from eatool.domain.identity import EntityRef
from eatool.domain.kind import Conflict, EntityKind, EntitySpec
from eatool.domain.landscape import Landscape


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


def held_by(holder: EntityRef, path: str, message: str) -> Conflict:
    """The complaint that ``holder`` was first; names the holder, never the value."""
    error = FieldError(path, Code.ALREADY_EXISTS, f"{message}; {holder.called} has it already")
    return Conflict(error, frozenset({holder}))
