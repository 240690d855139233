"""How fast a full sweep compares legacy table and read table."""

from __future__ import annotations

import asyncio
import time

from benchmarks.rollout.process import KIND, NAMESPACE, at
from benchmarks.store.checks import check_equal
from eatool.rollout.comparison import snapshot
from eatool.rollout.phases import Phase
from eatool.rollout.sweep import CHUNK, compare_chunk


def measure(url: str, rows: int) -> float:
    """Rows per second, of a registry of so many rows that is in parity."""
    return asyncio.run(_measure(url, rows))


async def _measure(url: str, rows: int) -> float:
    async with at(url, Phase.DUAL_WRITE) as site:
        keys, after = 0, None
        started = time.perf_counter()
        while True:
            with snapshot(site.opened.store.engine) as connection:
                chunk = compare_chunk(connection, KIND, NAMESPACE, after, CHUNK)
            check_equal("sweep: suspects", chunk.suspects, ())
            keys, after = keys + chunk.keys, chunk.last
            if after is None:
                break
        took = time.perf_counter() - started
    check_equal("sweep: rows", keys, rows)
    return rows / took
