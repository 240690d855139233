"""The order in which manifests can be applied: what is referenced comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

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
    looped: set[EntityRef] = set()
    while True:
        sorter = TopologicalSorter(
            {ref: (need.hard | need.soft) - looped for ref, need in needs.items()}
        )
        try:
            sorter.prepare()
        except CycleError as error:
            _break(error.args[1], needs, looped)
        else:
            break
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


def _break(
    cycle: Sequence[EntityRef], needs: dict[EntityRef, _Needs], looped: set[EntityRef]
) -> None:
    """Forget the soft references of a circle, or else take its members out."""
    members = set(cycle)
    soft = [need for ref in members if (need := needs[ref]).soft & members]
    for need in soft:
        need.soft.difference_update(members)
    if not soft:
        looped |= members
        for ref in members:
            del needs[ref]
