"""Deleted EventReplays leave no checkpoints, brokers keep theirs by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from eatool.kube.platform.replays import Replays
from eatool.publishing.checkpoints_memory import MemoryCheckpoints


async def test_checkpoints_of_replays_that_are_gone_are_removed_unless_still_served() -> None:
    checkpoints = MemoryCheckpoints()
    for name in ("events", "replay/gone-1", "replay/lives-2", "replay/served-3"):
        checkpoints.begin(name, 7)
    checkpoints.claim("replay/served-3", "another process", lease=60.0)
    parts: Any = SimpleNamespace(checkpoints=checkpoints)
    replays = Replays(parts, cast("Any", None))
    await replays.forget_all_but({"replay/lives-2"})
    assert checkpoints.destinations() == ["events", "replay/lives-2", "replay/served-3"]
    checkpoints.leave("replay/served-3", "another process")
    await replays.forget_all_but({"replay/lives-2"})
    assert checkpoints.destinations() == ["events", "replay/lives-2"]
