"""Apply or delete manifests without a cluster, through the same registry as the operator.

Both entrances decide on the folded stream, so it does not matter which one sees a manifest
first: the second finds nothing to record. An object that no API server has seen is identified
by a uid derived from its stream, and its generation counts the changes recorded for that uid.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from eatool.domain.errors import Code, SpecInvalid
from eatool.domain.identity import EntityRef, clusterless_uid
from eatool.domain.parsing import parse
from eatool.manifests.loader import Manifest
from eatool.manifests.order import waves
from eatool.registry.annotations import with_annotations
from eatool.registry.change import Change, Provenance
from eatool.registry.outcome import (
    PhasedOutcome,
    Queued,
    Recorded,
    Refused,
    Unavailable,
    Unchanged,
    WaitingFor,
    WrittenToLegacy,
)
from eatool.registry.service import Entrance

#: Changes decided at the same time; they share commits.
_PARALLEL = 64
_UNAVAILABLE_ROUNDS = 3
#: Seconds for which queued changes are waited for while none of them is decided, and between looks.
_PATIENCE, _LOOK = 10.0, 0.2

#: Called with each result as it becomes known; again when a retry changes it.
Progress = Callable[["Result"], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one manifest."""

    manifest: Manifest
    outcome: PhasedOutcome

    @property
    def accepted(self) -> bool:
        """Whoever is authoritative says what the manifest says."""
        return isinstance(self.outcome, Recorded | Unchanged | WrittenToLegacy)


async def apply_manifests(
    registry: Entrance,
    manifests: Sequence[Manifest],
    provenance: Provenance,
    progress: Progress = lambda _result: None,
    *,
    patience: float = _PATIENCE,
) -> list[Result]:
    """Apply in dependency order; results in the order of ``manifests``.

    Changes that are queued are waited for; ``patience`` is for how long, in seconds, while none
    of them is decided.
    """
    for manifest in manifests:
        _announce_parent(registry, manifest)
    run = _Run(registry.apply, provenance, progress, patience)
    return await run(manifests, waves(manifests))


async def delete_manifests(
    registry: Entrance,
    manifests: Sequence[Manifest],
    provenance: Provenance,
    progress: Progress = lambda _result: None,
    *,
    patience: float = _PATIENCE,
) -> list[Result]:
    """Delete, referrers first; results in the order of ``manifests``."""
    run = _Run(registry.delete, provenance, progress, patience)
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


@dataclass(slots=True)
class _Run:
    act: Callable[[Change], Awaitable[PhasedOutcome]]
    provenance: Provenance
    progress: Progress
    patience: float

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
        await self._hand_in(wave, found)
        queued = _queued(wave, found)
        until = monotonic() + self.patience
        while queued and monotonic() < until:
            await asyncio.sleep(_LOOK)
            await self._hand_in(queued, found)
            left = _queued(queued, found)
            if len(left) < len(queued):
                until = monotonic() + self.patience
            queued = left
        if queued:
            self.patience = 0  # nobody works on the queue: later waves need not find that out

    async def _hand_in(self, wave: Sequence[Manifest], found: dict[EntityRef, Result]) -> None:
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


def _queued(manifests: Sequence[Manifest], found: Mapping[EntityRef, Result]) -> list[Manifest]:
    return [each for each in manifests if isinstance(found[each.ref].outcome, Queued)]


def _may_heal(outcome: PhasedOutcome) -> bool:
    match outcome:
        case WaitingFor() | Unavailable():
            return True
        case Refused(blocked_by=blocked_by):
            return bool(blocked_by)
        case _:
            return False


def _announce_parent(registry: Entrance, manifest: Manifest) -> None:
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
