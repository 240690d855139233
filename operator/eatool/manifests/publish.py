"""Publish what a command recorded, before it ends."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import func, select

from eatool.publishing.checkpoints import Checkpoints
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.destination import Destination
from eatool.publishing.observer import NullObserver
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.tables import event

_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Published:
    """How a wait for the relay ended.

    Attributes:
        position: end of the log when the wait began.
        complete: everything up to there is published, or parked.
        parked: streams that the broker refused.
        why: the last error of the relay, when not complete.

    """

    position: int
    complete: bool
    parked: int
    why: str | None = None


async def publish_until_caught_up(
    store: SqlEventStore, destination: Destination, *, owner: str, patience: float
) -> Published:
    """Run a relay until the log as it is now is at the broker, ``patience`` seconds at most.

    ``owner`` names this process for people. An operator on the same log may hold some partitions:
    its progress counts too.
    """
    checkpoints = SqlCheckpoints(store.engine)
    relay = destination.relay(store, checkpoints, owner=owner, observer=NullObserver())
    position = (await asyncio.to_thread(store.head)).position
    ends = await asyncio.to_thread(_partition_ends, store, checkpoints, destination.name)
    running = asyncio.create_task(relay.run())
    deadline = time.monotonic() + patience
    complete = False
    try:
        while not complete and not running.done() and time.monotonic() < deadline:
            await asyncio.sleep(_POLL)
            complete = await asyncio.to_thread(_reached, checkpoints, destination.name, ends)
    finally:
        why = relay.status().last_error
        await relay.stop()
        with suppress(asyncio.CancelledError):
            await running
    parked = len(await asyncio.to_thread(checkpoints.parked, destination.name))
    return Published(position, complete, parked, None if complete else why)


def _partition_ends(
    store: SqlEventStore, checkpoints: Checkpoints, destination: str
) -> dict[int, int]:
    """Position of the last event of each partition that may have some to publish."""
    cursors = checkpoints.cursors(destination)
    published = min((each.position for each in cursors), default=0)
    query = (
        select(event.c.partition, func.max(event.c.position).label("newest"))
        .where(event.c.position > published)
        .group_by(event.c.partition)
    )
    with store.connect() as connection:
        return {row.partition: row.newest for row in connection.execute(query)}


def _reached(checkpoints: Checkpoints, destination: str, ends: dict[int, int]) -> bool:
    cursors = {each.partition: each.position for each in checkpoints.cursors(destination)}
    return all(cursors.get(partition, 0) >= end for partition, end in ends.items())
