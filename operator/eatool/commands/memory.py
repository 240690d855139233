"""The queue without a database: for tests of other rooms, and the yardstick of the SQL adapter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from eatool.commands import transitions
from eatool.commands.memory_reading import figures_of
from eatool.commands.ordering import can_be_released, can_be_woken, new_work, next_due
from eatool.commands.port import (
    PENDING,
    UNSTARTED,
    Command,
    CommandState,
    Enqueued,
    Figures,
    Known,
    Leased,
    Queued,
    StoredCommand,
)
from eatool.commands.results import Result, dump
from eatool.commands.rows import written
from eatool.store.clock import Clock, utc_now
from eatool.store.listeners import Listeners
from eatool.store.port import InvalidEvent, StoreError


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
        (answer,) = self.enqueue_batch([command])
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def enqueue_batch(self, commands: Sequence[Command]) -> list[Enqueued]:
        """See the port."""
        with self._lock:
            added = [self._enqueue(command) for command in commands]
            answers: list[Enqueued] = [
                refused or self._answer(command, known=known)
                for command, (known, refused) in zip(commands, added, strict=True)
            ]
        if work := new_work(answers):
            self._listeners.wake(work)
        return answers

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
        (told,) = self.finish_batch([(leased, result)], again_after=again_after)
        if isinstance(told, StoreError):
            raise told
        return told

    def finish_batch(
        self, done: Sequence[tuple[Leased, Result]], *, again_after: float = 60.0
    ) -> list[bool | StoreError]:
        """See the port."""
        with self._lock:
            ending = partial(transitions.finished, now=self._clock(), again_after=again_after)
            answers: list[bool | StoreError] = []
            for leased, result in done:
                try:
                    dump(result)
                except InvalidEvent as error:
                    answers.append(error)
                else:
                    answers.append(self._put_down(leased, partial(ending, result=result)))
            return answers

    def retry(self, leased: Leased, after: float, why: str, *, counted: bool = True) -> bool:
        """See the port."""
        with self._lock:
            attempts, due = leased.attempts - (not counted), self._in(after)
            return self._put_down(
                leased, partial(transitions.faulted, attempts=attempts, due=due, why=why)
            )

    def bury(self, leased: Leased, why: str) -> bool:
        """See the port."""
        with self._lock:
            return self._put_down(leased, partial(transitions.buried, why=why))

    def wake(self, stream_ids: Collection[str]) -> int:
        """See the port."""
        with self._lock:
            concerned = [
                stored
                for stream_id in set(stream_ids)
                for stored in self._of(stream_id)
                if can_be_woken(stored, transitions.newest(self._of(stream_id)))
            ]
            for stored in concerned:
                self._put(transitions.woken(stored, self._clock()))
        if concerned:
            self._listeners.wake(concerned[-1].sequence)
        return len(concerned)

    def release(self, command_id: UUID) -> bool:
        """See the port."""
        with self._lock:
            stored = self._commands.get(command_id)
            if stored is None or not can_be_released(
                stored, transitions.newest(self._of(stored.command.stream_id))
            ):
                return False
            self._put(transitions.requeued(stored, self._clock()))
        self._listeners.wake(stored.sequence)
        return True

    def discard(self, command_id: UUID) -> bool:
        """See the port."""
        with self._lock:
            stored = self._commands.get(command_id)
            if stored is None or stored.state not in UNSTARTED:
                return False
            self._put(transitions.discarded(stored, self._clock()))
        self._listeners.wake(stored.sequence)
        return True

    def get(self, command_id: UUID) -> StoredCommand | None:
        """See the port."""
        return self._commands.get(command_id)

    def states(self, command_ids: Collection[UUID]) -> dict[UUID, CommandState]:
        """See the port."""
        with self._lock:
            return {
                each: self._commands[each].state for each in command_ids if each in self._commands
            }

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
        return figures_of(found, self._clock(), window, quantiles)

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

    def _enqueue(self, command: Command) -> tuple[bool, InvalidEvent | None]:
        """Whether the id was known, and why the command cannot be stored."""
        if command.id in self._commands:
            return True, None
        try:
            written(command)
        except InvalidEvent as error:
            return False, error
        self._sequence += 1
        now = self._clock()
        new = transitions.arrived(command, self._sequence, now)
        changes = transitions.admitted(new, self._of(command.stream_id), now)
        for each in (new, *changes):
            self._put(each)
        return False, None

    def _answer(self, command: Command, *, known: bool) -> Queued | Known:
        stored = self._commands[command.id]
        return Known(stored) if known else Queued(stored)

    def _in(self, seconds: float) -> datetime:
        return self._clock() + timedelta(seconds=seconds)

    def _of(self, stream_id: str) -> list[StoredCommand]:
        return [each for each in self._commands.values() if each.command.stream_id == stream_id]

    def _put(self, stored: StoredCommand) -> None:
        stream_id = stored.command.stream_id
        self._commands[stored.command.id] = stored
        stream = self._streams.setdefault(stream_id, _Stream())
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

    def _put_down(self, leased: Leased, ending: Callable[[StoredCommand], StoredCommand]) -> bool:
        """Say what became of the command, and free its stream, if it still is ``leased``'s."""
        if not self._holds(leased):
            return False
        self._streams[leased.command.stream_id].owner = None
        self._put(ending(self._commands[leased.command.id]))
        return True
