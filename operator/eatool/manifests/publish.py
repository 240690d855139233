"""Publish what a command recorded, before it ends."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import func, select

from eatool.publishing.checkpoints import Checkpoints
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.configured import DESTINATION, configured_relay
from eatool.publishing.mqtt_options import MqttOptions
from eatool.settings import Settings
from eatool.store.port import PARTITIONS
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
    store: SqlEventStore, settings: Settings, broker: MqttOptions, *, patience: float
) -> Published:
    """Run a relay until the log as it is now is at the broker, ``patience`` seconds at most.

    An operator on the same log may hold some partitions: its progress counts too.
    """
    checkpoints = SqlCheckpoints(store.engine)
    relay = configured_relay(settings, broker, store)
    position = (await asyncio.to_thread(store.head)).position
    ends = await asyncio.to_thread(_partition_ends, store)
    running = asyncio.create_task(relay.run())
    deadline = time.monotonic() + patience
    complete = False
    try:
        while not complete and not running.done() and time.monotonic() < deadline:
            await asyncio.sleep(_POLL)
            complete = await asyncio.to_thread(_reached, checkpoints, ends)
    finally:
        why = relay.status().last_error
        await relay.stop()
        with suppress(asyncio.CancelledError):
            await running
    parked = len(await asyncio.to_thread(checkpoints.parked, DESTINATION))
    return Published(position, complete, parked, None if complete else why)


def _partition_ends(store: SqlEventStore) -> dict[int, int]:
    """Position of the last event of each partition that has one."""
    ends: dict[int, int] = {}
    with store.connect() as connection:
        for partition in range(PARTITIONS):
            query = select(func.max(event.c.position)).where(event.c.partition == partition)
            if (last := connection.scalar(query)) is not None:
                ends[partition] = last
    return ends


def _reached(checkpoints: Checkpoints, ends: dict[int, int]) -> bool:
    cursors = {each.partition: each.position for each in checkpoints.cursors(DESTINATION)}
    return all(cursors.get(partition, 0) >= end for partition, end in ends.items())
