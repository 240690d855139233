"""Prove again and again that the log alone yields the read tables of kinds that may retire."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Final

from eatool.domain.kinds import upcast
from eatool.projections import checkpoints
from eatool.projections.rebuild import verify
from eatool.projections.tables import PROJECTION
from eatool.rollout.phases import Phase
from eatool.rollout.samples import Reading
from eatool.rollout.view import PhaseView
from eatool.store.sql.database import Database
from eatool.store.sql.log import SqlEventStore

_log = logging.getLogger(__name__)

#: Seconds until a proof is repeated, and one that found differences: they may have been mended.
INTERVAL: Final = 3_600.0
AGAIN: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Proof:
    epoch: int
    differences: int
    rows: int
    at: float


class Proofs:
    """Rebuilds each kind in AsyncCommands from zero, in a shadow, and compares."""

    def __init__(self, store: SqlEventStore, view: PhaseView, *, interval: float = INTERVAL):
        self._store = store
        self._read = Database(store.engine).query
        self._view = view
        self._interval = interval
        self._proofs: dict[str, _Proof] = {}

    async def once(self) -> None:
        """Prove what is due; raises ``StoreError``."""
        due = [
            aggregate_type
            for aggregate_type, standing in self._view.all().items()
            if standing.phase is Phase.ASYNC_COMMANDS and self._due(aggregate_type, standing.epoch)
        ]
        if not due:
            return
        followed = await asyncio.to_thread(self._followed)
        # Without a checkpoint nobody can tell how far the table is: it would seem to lack rows.
        for aggregate_type in filter(followed.__contains__, due):
            await asyncio.to_thread(self._prove, aggregate_type)

    def reading(self, aggregate_type: str, _window: timedelta) -> Reading | None:
        """Differing rows at the newest proof under the present epoch."""
        proof, standing = self._proofs.get(aggregate_type), self._view.of(aggregate_type)
        if proof is None or standing is None or proof.epoch != standing.epoch:
            return None
        return Reading(float(proof.differences), max(proof.rows, 1))

    def _due(self, aggregate_type: str, epoch: int) -> bool:
        proof = self._proofs.get(aggregate_type)
        if proof is None or proof.epoch != epoch:
            return True
        interval = min(AGAIN, self._interval) if proof.differences else self._interval
        return monotonic() - proof.at >= interval

    def _followed(self) -> Collection[str]:
        return self._read(lambda connection: checkpoints.positions(connection, PROJECTION))

    def _prove(self, aggregate_type: str) -> None:
        standing = self._view.of(aggregate_type)
        if standing is None:
            return
        report = verify(self._store, [aggregate_type], upcast=upcast)
        found = sum(len(table.differences) for table in report.tables)
        rows = sum(table.counts.rows for table in report.tables)
        self._proofs[aggregate_type] = _Proof(standing.epoch, found, rows, monotonic())
        _log.info("%s rebuilt from %d events: %d rows differ", aggregate_type, report.events, found)
