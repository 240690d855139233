"""The order in which manifests can be applied: what is referenced comes first."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from eatool.domain.errors import SpecInvalid
from eatool.domain.identity import EntityRef
from eatool.domain.parsing import parse
from eatool.domain.references import references_of
from eatool.manifests.loader import Manifest

#: Hard references within one set of manifests: entity -> what it names.
Needs = dict[EntityRef, set[EntityRef]]


def needs_of(manifests: Sequence[Manifest]) -> Needs:
    """Hard references (parents included) among ``manifests``.

    A spec that cannot be parsed needs nothing here: applying it says what is wrong. References
    out of the set are left to the registry.
    """
    given = {manifest.ref for manifest in manifests}
    needs: Needs = {}
    for manifest in manifests:
        ref = manifest.ref
        try:
            spec = parse(manifest.kind, manifest.spec)
        except SpecInvalid:
            needs[ref] = set()
            continue
        needs[ref] = {
            reference.target
            for reference in references_of(manifest.kind, ref.namespace, spec)
            if reference.hard and reference.target in given and reference.target != ref
        }
    return needs


def waves(manifests: Sequence[Manifest]) -> list[list[Manifest]]:
    """Manifests in waves: each needs only earlier waves, its members may go at once.

    Members of a cycle come as one last wave: the registry refuses them, and says why.
    """
    needs = needs_of(manifests)
    looped: set[EntityRef] = set()
    while True:
        sorter = TopologicalSorter(
            {ref: needed - looped for ref, needed in needs.items() if ref not in looped}
        )
        try:
            sorter.prepare()
        except CycleError as error:
            looped.update(error.args[1])
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
