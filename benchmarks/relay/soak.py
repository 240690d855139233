"""Memory of the relay's process while very many events pass."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from benchmarks.relay.peers import Peer
from benchmarks.relay.sides import relay

_SAMPLES = 20
#: Bytes by which the second half may grow: of 100,000 events of 1 KB, what 8 of 100 would leave.
LIMIT = 8 * 2**20
_PAGE = os.sysconf("SC_PAGE_SIZE")


async def soak(url: str, peer: Peer, events: int, window: int) -> list[tuple[int, int]]:
    """``(events published, bytes resident)`` at 20 moments; then everything is checked."""
    sizes: list[tuple[int, int]] = []

    def published(count: int) -> None:
        if count % (events // _SAMPLES) == 0:
            sizes.append((count, _resident()))

    await relay(url, peer.factory(), "soak", events=events, window=window, progress=published)
    await asyncio.to_thread(peer.collect, events)
    return sizes


def growth(sizes: list[tuple[int, int]]) -> int:
    """Bytes between the middle, when everything is warm, and the largest size after it."""
    later = [size for _, size in sizes[len(sizes) // 2 :]]
    return max(later) - later[0]


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
