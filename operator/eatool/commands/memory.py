"""The queue without a database: for tests of other rooms, and the yardstick of the SQL adapter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from eatool.commands.ordering import (
    can_be_released,
    can_be_woken,
    next_due,
    overtakes,
    quantile_ranks,
    rank,
    replaced,
)
from eatool.commands.port import (
    PENDING,
    UNSTARTED,
    Command,
    CommandState,
    Figures,
    Known,
    Leased,
    Queued,
    StoredCommand,
)
from eatool.commands.results import Awaiting, Refused, Result
from eatool.store.clock import Clock, utc_now
from eatool.store.listeners import Listeners


@dataclass(slots=True)
class _Stream:
    epoch: int = 0
    owner: str | None = None
    claimable_at: datetime | None = None


class MemoryCommandQueue:
    """See :class:`~eatool.commands.port.CommandQueue`; thread-safe, one process."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._listeners = Listeners()
        self._sequence = 0
        self._commands: dict[UUID, StoredCommand] = {}
        self._streams: dict[str, _Stream] = {}

    def enqueue(self, command: Command) -> Queued | Known:
        """See the port."""
        with self._lock:
            known = self._commands.get(command.id)
            if known is not None:
                return Known(known)
            self._sequence += 1
            now = self._clock()
            stored = StoredCommand(
                command=command,
                sequence=self._sequence,
                state=CommandState.QUEUED,
                enqueued_at=now,
                due_at=now,
            )
            stream = list(self._of(command.stream_id))
            ahead = [each.command for each in stream if overtakes(each.command, command)]
            if ahead:
                newest = max(ahead, key=lambda each: rank(each) or 0)
                stored = self._end(stored, CommandState.SUPERSEDED, superseded_by=newest.id)
                self._put(stored)
                return Queued(stored)
            for each in replaced(command, stream):
                self._put(self._end(each, CommandState.SUPERSEDED, superseded_by=command.id))
            self._put(stored)
            self._settle(command.stream_id)
        self._listeners.wake(stored.sequence)
        return Queued(stored)

    def claim(self, worker: str, lease: float, limit: int) -> list[Leased]:
        """See the port."""
        with self._lock:
            now = self._clock()
            due = sorted(
                (stream.claimable_at, stream_id)
                for stream_id, stream in self._streams.items()
                if stream.claimable_at is not None and stream.claimable_at <= now
            )
            return [
                self._start(stream_id, worker, now, lease) for _, stream_id in due[: max(0, limit)]
            ]

    def renew(self, leased: Sequence[Leased], lease: float) -> list[Leased]:
        """See the port."""
        with self._lock:
            lost = []
            for each in leased:
                if self._holds(each):
                    self._streams[each.command.stream_id].claimable_at = self._in(lease)
                else:
                    lost.append(each)
            return lost

    def finish(self, leased: Leased, result: Result, *, again_after: float = 60.0) -> bool:
        """See the port."""
        with self._lock:
            if not self._holds(leased):
                return False
            stored = self._commands[leased.command.id]
            woken = stored.due_at is not None
            if woken and isinstance(result, Awaiting | Refused):
                stored = self._requeued(stored)
            elif isinstance(result, Awaiting):
                due = self._in(again_after)
                stored = replace(stored, state=CommandState.WAITING, due_at=due, attempts=0)
            else:
                stored = self._end(stored, CommandState.FINISHED)
            return self._let_go(replace(stored, result=result, error=None))

    def retry(self, leased: Leased, after: float, why: str, *, counted: bool = True) -> bool:
        """See the port."""
        with self._lock:
            if not self._holds(leased):
                return False
            stored = replace(
                self._commands[leased.command.id],
                state=CommandState.QUEUED,
                due_at=self._in(after),
                attempts=leased.attempts - (not counted),
                error=why,
            )
            return self._let_go(stored)

    def bury(self, leased: Leased, why: str) -> bool:
        """See the port."""
        with self._lock:
            if not self._holds(leased):
                return False
            stored = self._commands[leased.command.id]
            return self._let_go(replace(stored, state=CommandState.DEAD, due_at=None, error=why))

    def wake(self, stream_ids: Collection[str]) -> int:
        """See the port."""
        with self._lock:
            woken = [
                stored
                for stream_id in set(stream_ids)
                for stored in list(self._of(stream_id))
                if can_be_woken(stored, self._newest(stream_id))
            ]
            for stored in woken:
                if stored.state is CommandState.RUNNING:
                    self._put(replace(stored, due_at=self._clock()))
                else:
                    self._requeue(stored)
        if woken:
            self._listeners.wake(woken[-1].sequence)
        return len(woken)

    def release(self, command_id: UUID) -> bool:
        """See the port."""
        with self._lock:
            stored = self._commands.get(command_id)
            if stored is None or not can_be_released(
                stored, self._newest(stored.command.stream_id)
            ):
                return False
            self._requeue(stored)
        self._listeners.wake(stored.sequence)
        return True

    def discard(self, command_id: UUID) -> bool:
        """See the port."""
        with self._lock:
            stored = self._commands.get(command_id)
            if stored is None or stored.state not in UNSTARTED:
                return False
            self._put(self._end(stored, CommandState.DISCARDED))
            self._settle(stored.command.stream_id)
        self._listeners.wake(stored.sequence)
        return True

    def get(self, command_id: UUID) -> StoredCommand | None:
        """See the port."""
        return self._commands.get(command_id)

    def find(
        self,
        *,
        states: Collection[CommandState] | None = None,
        stream_id: str | None = None,
        aggregate_type: str | None = None,
        limit: int = 200,
    ) -> list[StoredCommand]:
        """See the port."""
        with self._lock:
            found = [
                stored
                for stored in self._commands.values()
                if (states is None or stored.state in states)
                and stream_id in {None, stored.command.stream_id}
                and aggregate_type in {None, stored.command.aggregate_type}
            ]
        return found[-limit:]

    def figures(
        self,
        *,
        aggregate_type: str | None = None,
        window: float = 3600.0,
        quantiles: Sequence[float] = (0.5, 0.95, 0.99),
    ) -> Figures:
        """See the port."""
        found = self.find(aggregate_type=aggregate_type, limit=len(self._commands) + 1)
        now = self._clock()
        moving = {CommandState.QUEUED, CommandState.RUNNING}
        ages = [(now - each.enqueued_at).total_seconds() for each in found if each.state in moving]
        latencies = sorted(
            (each.finished_at - each.enqueued_at).total_seconds()
            for each in found
            if each.state is CommandState.FINISHED
            and each.finished_at is not None
            and each.finished_at > now - timedelta(seconds=window)
        )
        states = [each.state for each in found]
        return Figures(
            queued=states.count(CommandState.QUEUED),
            running=states.count(CommandState.RUNNING),
            waiting=states.count(CommandState.WAITING),
            dead=states.count(CommandState.DEAD),
            oldest=max(ages, default=0.0),
            finished=len(latencies),
            latencies={
                quantile: latencies[index]
                for quantile, index in quantile_ranks(len(latencies), quantiles).items()
            },
        )

    def prune(self, older_than: float, limit: int = 1000) -> int:
        """See the port."""
        with self._lock:
            horizon = self._in(-older_than)
            old = [
                command_id
                for command_id, stored in self._commands.items()
                if stored.finished_at is not None
                and stored.finished_at < horizon
                and stored.state not in PENDING
            ][:limit]
            for command_id in old:
                del self._commands[command_id]
            return len(old)

    def on_enqueue(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """See the port."""
        return self._listeners.add(wake)

    # -- pieces, under the lock --------------------------------------------------------------

    def _in(self, seconds: float) -> datetime:
        return self._clock() + timedelta(seconds=seconds)

    def _of(self, stream_id: str) -> Iterable[StoredCommand]:
        return (each for each in self._commands.values() if each.command.stream_id == stream_id)

    def _newest(self, stream_id: str) -> int:
        return max(each.sequence for each in self._of(stream_id))

    def _put(self, stored: StoredCommand) -> None:
        self._commands[stored.command.id] = stored
        self._streams.setdefault(stored.command.stream_id, _Stream())

    def _end(
        self, stored: StoredCommand, state: CommandState, superseded_by: UUID | None = None
    ) -> StoredCommand:
        return replace(
            stored,
            state=state,
            due_at=None,
            finished_at=self._clock(),
            superseded_by=superseded_by,
        )

    def _requeue(self, stored: StoredCommand) -> None:
        self._put(self._requeued(stored))
        self._settle(stored.command.stream_id)

    def _requeued(self, stored: StoredCommand) -> StoredCommand:
        return replace(
            stored,
            state=CommandState.QUEUED,
            due_at=self._clock(),
            attempts=0,
            finished_at=None,
            result=None,
        )

    def _settle(self, stream_id: str) -> None:
        stream = self._streams[stream_id]
        if stream.owner is None:
            stream.claimable_at = next_due(self._of(stream_id))

    def _start(self, stream_id: str, worker: str, now: datetime, lease: float) -> Leased:
        head = next(each for each in self._of(stream_id) if each.state in PENDING)
        stream = self._streams[stream_id]
        stream.owner, stream.epoch = worker, stream.epoch + 1
        stream.claimable_at = now + timedelta(seconds=lease)
        started = replace(
            head,
            state=CommandState.RUNNING,
            due_at=None,
            attempts=head.attempts + 1,
            started_at=now,
        )
        self._put(started)
        return Leased(head.command, worker, stream.epoch, started.attempts, head.enqueued_at)

    def _holds(self, leased: Leased) -> bool:
        stream = self._streams[leased.command.stream_id]
        return (
            (stream.owner, stream.epoch) == (leased.worker, leased.epoch)
            and stream.claimable_at is not None
            and stream.claimable_at > self._clock()
        )

    def _let_go(self, stored: StoredCommand) -> bool:
        self._put(stored)
        self._streams[stored.command.stream_id].owner = None
        self._settle(stored.command.stream_id)
        return True
