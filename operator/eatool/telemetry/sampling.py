"""Figures that somebody has to look for: the log and its read tables, again and again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from eatool.domain.kinds import KINDS
from eatool.projections.tables import PROJECTION
from eatool.registry.opening import OpenRegistry
from eatool.store.port import StoreError
from eatool.store.sql.log import SqlEventStore
from eatool.telemetry.metrics import LogMetrics

_STORE: Final = 5.0
_PROJECTION: Final = 60.0  # reads every row
_LOOKED_THROUGH: Final = 200


async def sample_store(log: OpenRegistry, metrics: LogMetrics) -> None:
    """Show whether the database answers, and the head of the log; until cancelled."""
    while True:
        try:
            head = await asyncio.to_thread(log.store.head)
        except StoreError:
            metrics.store_up(up=False)
        else:
            metrics.store_up(up=True)
            metrics.store_head(head.position)
        await asyncio.sleep(_STORE)


async def sample_projection(log: OpenRegistry, metrics: LogMetrics) -> None:
    """See whether the read tables hold the newest event, as they must: a restore can part them."""
    while True:
        with suppress(StoreError):  # `_sample_store` tells
            head = (await asyncio.to_thread(log.store.head)).position
            position = await asyncio.to_thread(log.entities.position)
            if not await asyncio.to_thread(_has_entities, log.store, position):
                position = head  # phase changes have no row anywhere
            metrics.projection_at(PROJECTION, position, max(0, head - position))
        await asyncio.sleep(_PROJECTION)


def _has_entities(store: SqlEventStore, after: int) -> bool:
    """Whether there are events of entities behind ``after``."""
    events = store.read_stored(after=after, limit=_LOOKED_THROUGH)
    known = (event.stream_id.partition("/")[0] in KINDS for event in events)
    return len(events) == _LOOKED_THROUGH or any(known)
