"""The order in which manifests can be applied: what is referenced comes first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from eatool.domain.errors import SpecInvalid
from eatool.domain.identity import EntityRef
from eatool.domain.parsing import parse
from eatool.domain.references import references_of
from eatool.manifests.loader import Manifest


@dataclass(frozen=True, slots=True)
class _Needs:
    """What one manifest names among the others."""

    hard: set[EntityRef]
    soft: set[EntityRef]


def waves(manifests: Sequence[Manifest]) -> list[list[Manifest]]:
    """Manifests in waves: each names only earlier waves, its members may go at once.

    Soft references count as far as they do not run in circles. Members of a circle of hard ones
    come as one last wave: the registry refuses them, and says why. References out of the set
    are left to the registry too.
    """
    needs = _needs(manifests)
    for circle in _circles({ref: need.hard | need.soft for ref, need in needs.items()}):
        for ref in circle:
            needs[ref].soft.difference_update(circle)
    looped = {
        ref
        for circle in _circles({ref: need.hard | need.soft for ref, need in needs.items()})
        for ref in circle
    }
    sorter = TopologicalSorter(
        {ref: (need.hard | need.soft) - looped for ref, need in needs.items() if ref not in looped}
    )
    sorter.prepare()
    by_ref = {manifest.ref: manifest for manifest in manifests}
    found: list[list[Manifest]] = []
    while sorter.is_active():
        ready = sorter.get_ready()
        sorter.done(*ready)
        found.append([by_ref[ref] for ref in sorted(ready)])
    if looped:
        found.append([by_ref[ref] for ref in sorted(looped)])
    return found


def _needs(manifests: Sequence[Manifest]) -> dict[EntityRef, _Needs]:
    given = {manifest.ref for manifest in manifests}
    needs: dict[EntityRef, _Needs] = {}
    for manifest in manifests:
        ref = manifest.ref
        need = needs[ref] = _Needs(set(), set())
        try:
            spec = parse(manifest.kind, manifest.spec)
        except SpecInvalid:
            continue  # applying it says what is wrong
        for reference in references_of(manifest.kind, ref.namespace, spec):
            if reference.target in given and reference.target != ref:
                (need.hard if reference.hard else need.soft).add(reference.target)
    return needs


def _circles(graph: Mapping[EntityRef, Collection[EntityRef]]) -> Iterator[set[EntityRef]]:
    """Strongly connected components of two members or more (Tarjan, without recursion).

    In linear time: breaking one circle after the other would take the square of it.
    """
    index: dict[EntityRef, int] = {}
    lowest: dict[EntityRef, int] = {}
    open_: dict[EntityRef, None] = {}
    for root in graph:
        if root in index:
            continue
        path = [(root, iter(graph[root]))]
        index[root] = lowest[root] = len(index)
        open_[root] = None
        while path:
            ref, left = path[-1]
            for target in left:
                if target not in index:
                    index[target] = lowest[target] = len(index)
                    open_[target] = None
                    path.append((target, iter(graph[target])))
                    break
                if target in open_:
                    lowest[ref] = min(lowest[ref], index[target])
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[ref])
                if lowest[ref] == index[ref]:
                    circle = {ref}
                    while (member := open_.popitem()[0]) != ref:
                        circle.add(member)
                    if len(circle) > 1:
                        yield circle
