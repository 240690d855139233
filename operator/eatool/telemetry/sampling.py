"""Figures that somebody has to look for: the log and its read tables, again and again.

Each look costs the same however long the log is: heads, checkpoints and sizes that the database
knows. Only the comparison of the read tables with the log reads a table, its rows once a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Final

from eatool.domain.kinds import KINDS
from eatool.projections.following import lags
from eatool.projections.tables import PROJECTION
from eatool.registry.opening import OpenRegistry
from eatool.store.port import StoreError
from eatool.store.sql.database import Database
from eatool.store.sql.engine import connections
from eatool.store.sql.size import size_bytes
from eatool.telemetry.metrics import LogMetrics, ProjectionState

#: Seconds between looks, and looks between those that cost more.
_PAUSE: Final = 5.0
_RARELY: Final = 12
_LOOKED_THROUGH: Final = 200


@dataclass(frozen=True, slots=True)
class _Behind:
    """Everything up to ``position`` is in the tables; the first that is not is from ``oldest``."""

    position: int
    oldest: datetime | None


async def sample_store(log: OpenRegistry, metrics: LogMetrics) -> None:
    """Show whether the database answers, its head, size and connections; until cancelled."""
    for look in count():
        try:
            head = await asyncio.to_thread(log.store.head)
            if look % _RARELY == 0:
                metrics.store_size(await asyncio.to_thread(size_bytes, log.store.engine))
        except StoreError:
            metrics.store_up(up=False)
        else:
            metrics.store_up(up=True)
            metrics.store_head(head.position)
        metrics.db_connections(*connections(log.store.engine))
        await asyncio.sleep(_PAUSE)


async def sample_projection(
    log: OpenRegistry, metrics: LogMetrics, *, failing: Callable[[], bool] = lambda: False
) -> None:
    """Show how far the read tables are behind the log; until cancelled.

    Behind it on purpose are kinds that are followed; the others only when log and tables were
    restored apart. ``failing``: whether this process cannot apply what is left.
    """
    apart: _Behind | None = None
    for look in count():
        with suppress(StoreError):  # `sample_store` tells
            late = await asyncio.to_thread(_late, log)
            if look % _RARELY == 0 or apart is not None:
                apart = await asyncio.to_thread(_apart, log)
            head = (await asyncio.to_thread(log.store.head)).position
            behind = [each for each in (late, apart) if each is not None]
            position = min((each.position for each in behind), default=head)
            oldest = min((each.oldest for each in behind if each.oldest), default=None)
            metrics.projection_at(
                PROJECTION, position, head - position, oldest.timestamp() if oldest else None
            )
            metrics.projection_state(PROJECTION, _state(late, apart, failing=failing()))
        await asyncio.sleep(_PAUSE)


def _state(late: _Behind | None, apart: _Behind | None, *, failing: bool) -> ProjectionState:
    if failing:
        return ProjectionState.FAILED
    if apart is not None:
        return ProjectionState.STOPPED
    return ProjectionState.LIVE if late is None else ProjectionState.CATCHING_UP


def _late(log: OpenRegistry) -> _Behind | None:
    """What followed kinds lack."""
    behind = [lag for lag in lags(Database(log.store.engine)).values() if lag.events]
    if not behind:
        return None
    return _Behind(
        min(lag.position for lag in behind), min(lag.oldest for lag in behind if lag.oldest)
    )


def _apart(log: OpenRegistry) -> _Behind | None:
    """What the tables of kinds lack that are updated with each append: nothing, normally."""
    followed = lags(Database(log.store.engine)).keys()
    # In this order: what is appended meanwhile must not seem to lack its row.
    head = log.store.head().position
    position = log.entities.position()
    # Phase changes have no row anywhere, and a followed kind gets its rows later.
    inline = KINDS.keys() - followed
    for event in log.store.read_stored(after=position, limit=_LOOKED_THROUGH):
        if event.position > head:
            break
        if event.stream_id.partition("/")[0] in inline:
            return _Behind(position, event.recorded_at)
    return None
