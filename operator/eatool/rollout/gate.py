"""Lets changes of a kind through, or holds them while its next phase is being prepared."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

from eatool.rollout.ledger import Standing
from eatool.rollout.view import PhaseView
from eatool.store.port import StoreError

_log = logging.getLogger(__name__)

_POLL: Final = 0.05

#: Whether nothing of the old phase is left undone; asked while new changes are held.
Settled = Callable[[Standing], Awaitable[bool]]


class Held(Exception):
    """The next phase is still being prepared after as long as a change may wait."""


async def always(_standing: Standing) -> bool:
    """Nothing but the changes themselves has to end."""
    return True


class Gate:
    """Counts the changes in flight of each kind; used from one event loop.

    Args:
        view: says where kinds stand.
        patience: how long a change waits for a preparation to end, seconds.
        settled: has to hold, besides no change being in flight, before this process is ready.

    """

    def __init__(
        self, view: PhaseView, *, patience: float = 10.0, settled: Settled = always
    ) -> None:
        self._view = view
        self._patience = patience
        self._settled = settled
        self._inside: Counter[str] = Counter()

    @asynccontextmanager
    async def passing(self, aggregate_type: str) -> AsyncIterator[Standing | None]:
        """Count as in flight; yields the standing that holds until the end, or is fenced off.

        Raises :class:`Held`.
        """
        deadline = monotonic() + self._patience
        while (standing := self._view.of(aggregate_type)) is not None and standing.preparing:
            if monotonic() > deadline:
                raise Held(f"{aggregate_type} is moving to phase {standing.preparing}")
            await asyncio.sleep(_POLL)
        self._inside[aggregate_type] += 1
        try:
            yield standing
        finally:
            self._inside[aggregate_type] -= 1

    async def run(self) -> None:
        """Acknowledge what is ready, until cancelled."""
        while True:
            await self.acknowledge()
            await asyncio.sleep(_POLL)

    async def acknowledge(self) -> None:
        """Acknowledge every announced epoch that this process is ready for."""
        for aggregate_type, standing in self._view.all().items():
            if standing.preparation is None or self._inside[aggregate_type]:
                continue
            try:
                ready = await self._settled(standing)
            except StoreError as error:
                _log.warning("Cannot tell whether %s is settled: %s", aggregate_type, error)
                continue
            if ready:
                self._view.acknowledge(aggregate_type, standing.preparation.epoch)
