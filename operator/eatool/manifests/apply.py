"""Apply or delete manifests without a cluster, through the same registry as the operator.

Both entrances decide on the folded stream, so it does not matter which one sees a manifest
first: the second finds nothing to record. An object that no API server has seen is identified
by a uid derived from its stream, and its generation counts the changes recorded for that uid.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from eatool.domain.errors import Code, SpecInvalid
from eatool.domain.identity import EntityRef, clusterless_uid
from eatool.domain.parsing import parse
from eatool.manifests.loader import Manifest
from eatool.manifests.order import waves
from eatool.registry.annotations import with_annotations
from eatool.registry.change import Change, Provenance
from eatool.registry.outcome import Outcome, Recorded, Refused, Unavailable, Unchanged, WaitingFor
from eatool.registry.service import Registry

#: Changes decided at the same time; they share commits.
_PARALLEL = 64
_UNAVAILABLE_ROUNDS = 3

#: Called with each result as it becomes known; again when a retry changes it.
Progress = Callable[["Result"], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one manifest."""

    manifest: Manifest
    outcome: Outcome

    @property
    def accepted(self) -> bool:
        """The registry is as the manifest says."""
        return isinstance(self.outcome, Recorded | Unchanged)


async def apply_manifests(
    registry: Registry,
    manifests: Sequence[Manifest],
    provenance: Provenance,
    progress: Progress = lambda _result: None,
) -> list[Result]:
    """Apply in dependency order; results in the order of ``manifests``."""
    for manifest in manifests:
        _announce_parent(registry, manifest)
    run = _Run(registry.apply, provenance, progress)
    return await run(manifests, waves(manifests))


async def delete_manifests(
    registry: Registry,
    manifests: Sequence[Manifest],
    provenance: Provenance,
    progress: Progress = lambda _result: None,
) -> list[Result]:
    """Delete, referrers first; results in the order of ``manifests``."""
    run = _Run(registry.delete, provenance, progress)
    results = await run(manifests, waves(manifests)[::-1])
    loop = _holding_each_other(results)
    if not loop:
        return results
    # Nothing but each other keeps these (lineage may run in circles): they go together.
    registry.pending.terminate(*(manifest.ref for manifest in loop))
    last = {result.manifest.ref: result for result in await run(loop, [loop])}
    return [last.get(result.manifest.ref, result) for result in results]


def _holding_each_other(results: Sequence[Result]) -> list[Manifest]:
    """Those refused only because others of them still name them."""
    held = {
        result.manifest.ref: result.outcome.blocked_by
        for result in results
        if isinstance(result.outcome, Refused)
        and all(error.code is Code.DELETE_BLOCKED for error in result.outcome.errors)
    }
    while outside := {ref for ref, blockers in held.items() if not blockers <= held.keys()}:
        held = {ref: blockers for ref, blockers in held.items() if ref not in outside}
    return [result.manifest for result in results if result.manifest.ref in held]


@dataclass(frozen=True, slots=True)
class _Run:
    act: Callable[[Change], Awaitable[Outcome]]
    provenance: Provenance
    progress: Progress

    async def __call__(
        self, manifests: Sequence[Manifest], ordered: Sequence[Sequence[Manifest]]
    ) -> list[Result]:
        found: dict[EntityRef, Result] = {}
        for wave in ordered:
            await self._wave(wave, found)
        await self._again(found)
        return [found[manifest.ref] for manifest in manifests]

    async def _again(self, found: dict[EntityRef, Result]) -> None:
        """Retry what an outcome of this run, or of somebody else's, may have healed."""
        rounds = 0
        while left := [result for result in found.values() if _may_heal(result.outcome)]:
            pauses = [
                result.outcome.retry_after
                for result in left
                if isinstance(result.outcome, Unavailable)
            ]
            if pauses:
                rounds += 1
                if rounds > _UNAVAILABLE_ROUNDS:
                    return
                await asyncio.sleep(min(pauses))
            await self._wave([result.manifest for result in left], found)
            healed = any(found[result.manifest.ref].accepted for result in left)
            if not healed and not pauses:
                return

    async def _wave(self, wave: Sequence[Manifest], found: dict[EntityRef, Result]) -> None:
        limit = asyncio.Semaphore(_PARALLEL)

        async def one(manifest: Manifest) -> None:
            async with limit:
                result = Result(manifest, await self.act(self._change(manifest)))
            found[manifest.ref] = result
            self.progress(result)

        await asyncio.gather(*map(one, wave))

    def _change(self, manifest: Manifest) -> Change:
        return Change(
            ref=manifest.ref,
            uid=clusterless_uid(manifest.ref),
            spec=manifest.spec,
            provenance=with_annotations(self.provenance, manifest.annotations),
        )


def _may_heal(outcome: Outcome) -> bool:
    match outcome:
        case WaitingFor() | Unavailable():
            return True
        case Refused(blocked_by=blocked_by):
            return bool(blocked_by)
        case _:
            return False


def _announce_parent(registry: Registry, manifest: Manifest) -> None:
    """Let the registry see a loop among new objects at once, instead of waiting for either."""
    field = manifest.kind.parent_field
    if field is None:
        return
    try:
        parent = getattr(parse(manifest.kind, manifest.spec), field)
    except SpecInvalid:
        return
    ref = manifest.ref
    registry.pending.desire_parent(ref, parent and manifest.kind.ref(ref.namespace, parent))
