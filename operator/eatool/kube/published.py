"""The ``Published`` condition: the brokers that must have an entity's newest event have it.

Judged by the checkpoints in the database, not by what this process sends: several operators share
a broker's partitions. It never touches ``Ready``: an outage of a broker must not fail a sync.

Judged once for each event, by the brokers required then: one that is added later reads the log in
its own time, and what it still lacks shows in its status, not in a write to every entity.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, Protocol

import structlog

from eatool.domain.identity import EntityRef
from eatool.kube.conditions import PUBLISHED, Condition, merge
from eatool.publishing.checkpoints import CursorState, ParkedStream
from eatool.publishing.required import RequiredBrokers
from eatool.store.encoding import partition_of
from eatool.store.port import StoreUnavailable

Body = dict[str, Any]

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.published")

#: Pause between looks at the checkpoints, seconds; doubles while nothing arrives.
_POLL_MIN, _POLL_MAX = 0.5, 4.0
#: Seconds before the condition says which of several brokers is the slow one: mostly all of them
#: answer within moments, and each change of the condition is a write.
_PATIENCE = 10.0


class Progress(Protocol):
    """What is read of :class:`~eatool.publishing.checkpoints.Checkpoints`; methods block."""

    def cursors(self, destination: str) -> list[CursorState]:
        """All cursors of a destination."""
        ...

    def parked(
        self, destination: str, partitions: Collection[int] | None = None
    ) -> list[ParkedStream]:
        """Its parked streams."""
        ...


@dataclass(slots=True)
class _Open:
    """An event that some broker does not have, or whose arrival is not told yet."""

    position: int
    partition: int
    since: float
    #: What is to be told; ``None`` while the object's own word stands.
    verdict: Condition | None


@dataclass(frozen=True, slots=True)
class _Standing:
    """How far one broker is."""

    positions: Mapping[int, int]
    parked: Mapping[str, int]

    def has(self, event: _Open) -> bool:
        return self.positions.get(event.partition, 0) >= event.position

    def refuses(self, stream_id: str, event: _Open) -> bool:
        first = self.parked.get(stream_id)
        return first is not None and first <= event.position


class Publication:
    """Follows the newest event of each entity to its brokers; belongs to one event loop."""

    def __init__(
        self,
        required: RequiredBrokers,
        progress: Progress,
        wake: Callable[[EntityRef], None],
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """``wake`` asks for a reconcile of an entity whose condition has to change."""
        self._clock = clock
        self._required = required
        self._progress = progress
        self._wake = wake
        self._open: dict[EntityRef, _Open] = {}
        self._opened = asyncio.Event()

    def __len__(self) -> int:
        """Events that some required broker does not have yet."""
        return len(self._open)

    def told(self, ref: EntityRef, old: Mapping[str, Any], status: Body, now: datetime) -> Body:
        """``status`` with the condition that is true now; ``old`` is what the object says."""
        conditions = [each for each in status.get("conditions") or () if not _is_published(each)]
        before = next(filter(_is_published, old.get("conditions") or ()), None)
        position = status.get("position")
        brokers = self._required.of(ref.stream_id)
        if position is None or not brokers:
            self._open.pop(ref, None)
            return {**status, "conditions": conditions}
        same = old.get("position") == position
        if same and before is not None and before["status"] == "True":
            return {**status, "conditions": [*conditions, before]}
        known = [] if before is None else [before]
        # After a restart, or with a broker that is new, nothing is told before more is known.
        verdict = self._follow(ref, position, None if same else _pending(brokers))
        if verdict is None:
            return {**status, "conditions": [*conditions, *known]}
        generation = status["observedGeneration"]
        (condition,) = merge(known, [verdict], generation=generation, now=now)
        return {**status, "conditions": [*conditions, condition]}

    def written(self, ref: EntityRef) -> None:
        """The object says what is true; a published event need not be followed any more."""
        entry = self._open.get(ref)
        if entry is not None and entry.verdict is not None and entry.verdict.status == "True":
            del self._open[ref]

    def forget(self, ref: EntityRef) -> None:
        """The object is gone."""
        self._open.pop(ref, None)

    async def run(self) -> None:
        """Look at the checkpoints while anything is open, until cancelled."""
        pause = _POLL_MIN
        while True:
            if not self._open:
                self._opened.clear()
                await self._opened.wait()
                pause = _POLL_MIN
            await asyncio.sleep(pause)
            try:
                changed = await self._look()
            except StoreUnavailable as error:
                _log.warning("checkpoints unavailable", why=str(error))
                changed = False
            pause = _POLL_MIN if changed else min(2 * pause, _POLL_MAX)

    def _follow(self, ref: EntityRef, position: int, verdict: Condition | None) -> Condition | None:
        entry = self._open.get(ref)
        if entry is None or entry.position != position:
            partition = partition_of(ref.stream_id)
            entry = self._open[ref] = _Open(position, partition, self._clock(), verdict)
            self._opened.set()
        return entry.verdict

    async def _look(self) -> bool:
        """One comparison of everything open; whether anything changed."""
        # In a thread: after an outage there may be as many as there are entities.
        verdicts = await asyncio.to_thread(self._verdicts, list(self._open.items()))
        changed = False
        for ref, entry, verdict in verdicts:
            if self._open.get(ref) is not entry:
                continue  # another event by now
            if verdict is None:
                del self._open[ref]
            elif self._is_news(entry, verdict):
                entry.verdict = verdict
            else:
                continue
            changed = True
            self._wake(ref)
        return changed

    def _verdicts(
        self, following: Collection[tuple[EntityRef, _Open]]
    ) -> list[tuple[EntityRef, _Open, Condition | None]]:
        """What is not told yet; ``None``: no broker is required any more. Blocks."""
        wanted = [self._required.of(ref.stream_id) for ref, _ in following]
        standings = {name: self._standing(name) for name in sorted(set().union(*wanted))}
        found: list[tuple[EntityRef, _Open, Condition | None]] = []
        for (ref, entry), brokers in zip(following, wanted, strict=True):
            verdict = None
            if brokers:
                concerned = {name: standings[name] for name in brokers}
                verdict = _judge(ref.stream_id, entry, concerned)
            if verdict is None or verdict != entry.verdict:
                found.append((ref, entry, verdict))
        return found

    def _is_news(self, entry: _Open, verdict: Condition) -> bool:
        pending = entry.verdict is not None and entry.verdict.reason == verdict.reason
        return not pending or self._clock() - entry.since > _PATIENCE

    def _standing(self, name: str) -> _Standing:
        # In this order: a cursor passes a parked event only when the parking is written down.
        positions = {each.partition: each.position for each in self._progress.cursors(name)}
        parked = {each.stream_id: each.first_position for each in self._progress.parked(name)}
        return _Standing(positions, parked)


def _judge(stream_id: str, event: _Open, standings: Mapping[str, _Standing]) -> Condition:
    refusing = [name for name, each in standings.items() if each.refuses(stream_id, event)]
    if refusing:
        return Condition(
            PUBLISHED, "False", "Parked", f"Refused by {', '.join(refusing)}: see its ParkedStream"
        )
    missing = tuple(name for name, each in standings.items() if not each.has(event))
    if missing:
        return _pending(missing)
    return Condition(PUBLISHED, "True", "Acknowledged", f"Acknowledged by {', '.join(standings)}")


def _pending(brokers: tuple[str, ...]) -> Condition:
    return Condition(PUBLISHED, "False", "Pending", f"Waiting for {', '.join(brokers)}")


def _is_published(condition: Mapping[str, Any]) -> bool:
    return bool(condition["type"] == PUBLISHED)
