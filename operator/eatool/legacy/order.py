"""The order in which rows can be imported: what is referenced comes first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS


def in_order(kinds: Iterable[EntityKind]) -> list[EntityKind]:
    """Kinds so that each names only earlier ones and itself; in the order given, as far as so."""
    wanted = {kind.aggregate_type: kind for kind in kinds}
    sorter = TopologicalSorter({name: _named(kind) for name, kind in KINDS.items()})
    return [wanted[name] for name in sorter.static_order() if name in wanted]


def _named(kind: EntityKind) -> set[str]:
    named: set[str] = set()
    for mark in kind.references.values():
        named |= set(KINDS) if mark.aggregate_type is None else {mark.aggregate_type}
    return named - {kind.aggregate_type}


def levels(parents: Mapping[str, str | None]) -> list[list[str]]:
    """Ids by depth below the roots, sorted in each level.

    The last level holds what no root leads to: circles, whatever hangs below one, and children
    of parents that are not there. In linear time, without recursion.
    """
    children: defaultdict[str | None, list[str]] = defaultdict(list)
    for row_id, parent in parents.items():
        children[parent].append(row_id)
    found: list[list[str]] = []
    level = sorted(children.pop(None, ()))
    while level:
        found.append(level)
        level = sorted(child for parent in level for child in children.pop(parent, ()))
    left = sorted(child for group in children.values() for child in group)
    return [*found, left] if left else found
