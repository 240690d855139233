"""Changes of an import, put to the registry with patience and without getting in a cluster's way.

An entity that an object of a cluster declares is that object's: what the registry's rows say
otherwise is refused, because the operator would take it back at its next look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from eatool.domain.decision import EntityState
from eatool.domain.errors import Code, FieldError
from eatool.domain.kinds import KINDS
from eatool.domain.parsing import parse
from eatool.legacy.rows import fingerprint, spec_fingerprint
from eatool.projections.queries import Entities
from eatool.registry.change import Change, SeenNewer
from eatool.registry.outcome import Outcome, Refused, Unavailable
from eatool.store.port import StoreUnavailable

#: Changes decided at the same time; they share commits.
_PARALLEL = 64
#: Further attempts of each change while the store does not answer.
_RETRIES = 2
_DECLARED = FieldError(
    "metadata.name",
    Code.ALREADY_EXISTS,
    "is declared by a custom resource that says otherwise; change or delete that one instead",
)

_Act = Callable[[Change], Awaitable[Outcome]]


class Deciding(Protocol):
    """What an import needs of the registry."""

    async def apply(self, change: Change) -> Outcome:
        """See :class:`~eatool.registry.service.Registry`."""
        ...

    async def delete(self, change: Change) -> Outcome:
        """See :class:`~eatool.registry.service.Registry`."""
        ...


class Applying:
    """Puts many tentative changes at once; outcomes come by the keys the changes were given by.

    Raises ``StoreUnavailable`` when the store stays away.
    """

    def __init__(self, registry: Deciding, entities: Entities) -> None:
        self._registry = registry
        self._entities = entities

    async def apply(self, changes: Mapping[str, Change]) -> dict[str, Outcome]:
        """Make entities be as the changes say."""
        return await self._all(self._apply, changes)

    async def delete(self, changes: Mapping[str, Change]) -> dict[str, Outcome]:
        """End entities."""
        return await self._all(self._delete, changes)

    async def _apply(self, change: Change) -> Outcome:
        try:
            return await self._registry.apply(change)
        except SeenNewer:
            if not await asyncio.to_thread(self._says, change):
                return Refused(EntityState(change.ref), None, (_DECLARED,))
            return await self._registry.apply(replace(change, tentative=False))

    async def _delete(self, change: Change) -> Outcome:
        try:
            return await self._registry.delete(change)
        except SeenNewer:
            return Refused(EntityState(change.ref), None, (_DECLARED,))

    def _says(self, change: Change) -> bool:
        """Whether the entity is recorded as the change would have it."""
        kind, record = KINDS[change.ref.aggregate_type], self._entities.get(change.ref)
        wanted = spec_fingerprint(kind, parse(kind, change.spec))
        return record is not None and fingerprint(kind, record.fields) == wanted

    async def _all(self, act: _Act, changes: Mapping[str, Change]) -> dict[str, Outcome]:
        limit = asyncio.Semaphore(_PARALLEL)

        async def one(change: Change) -> Outcome:
            async with limit:
                outcome = await act(change)
                for _ in range(_RETRIES):
                    if not isinstance(outcome, Unavailable):
                        break
                    await asyncio.sleep(outcome.retry_after)
                    outcome = await act(change)
            if isinstance(outcome, Unavailable):
                why = f"{outcome.why}; run the import again, it goes on from here"
                raise StoreUnavailable(why)
            return outcome

        outcomes = await asyncio.gather(*map(one, changes.values()))
        return dict(zip(changes, outcomes, strict=True))
