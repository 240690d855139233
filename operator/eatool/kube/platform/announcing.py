"""Kubernetes events about brokers and replays: what an operator on call would want to be told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from eatool.kube.announcing import EventApi, Poster
from eatool.kube.conditions import condition_of
from eatool.kube.platform.resources import Body

#: Reasons that are on the way to something else, or what was asked for.
_QUIET: Final = frozenset({"Connecting", "Suspended", "Running", "Paused", "StoreUnavailable"})
#: The same is told again only after this many seconds: a flapping link would fill the list.
_AGAIN: Final = 60.0


class PlatformAnnouncer(Poster):
    """Posts when a broker or replay begins or ceases to need attention."""

    def __init__(self, api: EventApi, clock: Callable[[], float] | None = None) -> None:
        """``clock`` returns monotonic seconds."""
        super().__init__(api)
        self._clock = clock or asyncio.get_running_loop().time
        self._told: dict[tuple[str, str], float] = {}
        self._ailing: set[str] = set()

    def __call__(self, before: Body, after: Body) -> None:
        """Announce what changed between two versions of an object."""
        was, now = condition_of(before, "Ready"), condition_of(after, "Ready")
        uid = after["metadata"]["uid"]
        if not now or was.get("reason") == now["reason"] or now["reason"] in _QUIET:
            return
        if now["status"] == "True":
            if uid in self._ailing:
                self._ailing.discard(uid)
                self.post(after, "Normal", now["reason"], now["message"])
        elif self._is_news(uid, now["reason"]):
            self._ailing.add(uid)
            self.post(after, "Warning", now["reason"], now["message"])

    def parked(self, broker: Body, streams: int, first: str) -> None:
        """So many entities were parked since the last look; ``first``: one of them and why."""
        more = f" and {streams - 1} more" if streams > 1 else ""
        self.post(broker, "Warning", "StreamParked", f"{first}{more}")

    def _is_news(self, uid: str, reason: str) -> bool:
        now = self._clock()
        if now - self._told.get((uid, reason), float("-inf")) < _AGAIN:
            return False
        self._told[uid, reason] = now
        return True
