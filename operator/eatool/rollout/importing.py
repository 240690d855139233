"""Record rows of the legacy tables for as long as these, and not the log, are authoritative."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from eatool.commands.port import Operation
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.registry.change import Change
from eatool.registry.outcome import Outcome, Unavailable
from eatool.registry.service import Appender, Registry
from eatool.rollout.appending import Fenced
from eatool.rollout.ledger import Ledger, Standing, fence_name
from eatool.store.port import NEVER_MOVED, Fence, StaleEpoch

#: Phase changes met in a row by one row.
_ATTEMPTS: Final = 5
_RETRY: Final = 2.0


class LogDecides(Exception):
    """Rows of these kinds follow the log: there is nothing in them to be recorded."""

    def __init__(self, standings: Iterable[Standing]) -> None:
        told = ", ".join(
            f"{KINDS[each.aggregate_type].kind} is in phase {each.phase}" for each in standings
        )
        super().__init__(
            f"{told}: the event log is authoritative and its legacy table only follows, so its "
            "rows are not imported; take the kind back to DualWrite first, or leave it out "
            "with --kind"
        )


class RowsAuthoritative:
    """What an import decides through: appends under the epoch in which the rows were right.

    A change of phase in between refuses the append; it is tried again under the new phase, or
    ends the import with :class:`LogDecides`. Used from one event loop.
    """

    def __init__(self, registry: Registry, appender: Appender, ledger: Ledger) -> None:
        self._registry = registry
        self._appender = appender
        self._ledger = ledger
        self._standings: dict[str, Standing] = {}

    async def expect(self, kinds: Iterable[EntityKind]) -> None:
        """Learn where the kinds stand; raises :class:`LogDecides` and ``StoreError``."""
        self._standings = await asyncio.to_thread(self._ledger.standings)
        wanted = {kind.aggregate_type for kind in kinds}
        decided = [
            standing
            for aggregate_type, standing in sorted(self._standings.items())
            if aggregate_type in wanted and standing.phase.log_decides
        ]
        if decided:
            raise LogDecides(decided)

    async def apply(self, change: Change) -> Outcome:
        """See :class:`~eatool.registry.service.Registry`."""
        return await self._record(change, Operation.APPLY)

    async def delete(self, change: Change) -> Outcome:
        """See :class:`~eatool.registry.service.Registry`."""
        return await self._record(change, Operation.DELETE)

    async def _record(self, change: Change, operation: Operation) -> Outcome:
        kind = KINDS[change.ref.aggregate_type]
        act = self._registry.apply if operation is Operation.APPLY else self._registry.delete
        for _ in range(_ATTEMPTS):
            try:
                return await act(change, through=Fenced(self._appender, self._fence(kind)))
            except StaleEpoch:
                await self.expect([kind])
        return Unavailable(f"the rollout of {kind.kind} is moving", _RETRY)

    def _fence(self, kind: EntityKind) -> Fence:
        standing = self._standings.get(kind.aggregate_type)
        if standing is None:
            return Fence(fence_name(kind.aggregate_type), NEVER_MOVED)
        return standing.fence
