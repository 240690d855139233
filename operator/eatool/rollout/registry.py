"""The registry of a process in which kinds are being rolled out: the phase says how to write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from eatool.commands.intake import CommandIntake
from eatool.commands.port import (
    PENDING,
    Command,
    CommandQueue,
    CommandState,
    Operation,
    StoredCommand,
)
from eatool.commands.results import Outdated, Result
from eatool.domain.errors import SpecInvalid
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS
from eatool.domain.parsing import parse
from eatool.projections.queries import Record
from eatool.registry.arrivals import Arrivals
from eatool.registry.change import Change, SeenNewer
from eatool.registry.outcome import (
    Outcome,
    PhasedOutcome,
    Queued,
    Unavailable,
    Unchanged,
    WrittenToLegacy,
)
from eatool.registry.pending import PendingChanges
from eatool.registry.service import Appender, Registry
from eatool.rollout.appending import (
    Deferred,
    Deferring,
    Fenced,
    LegacyFirst,
    LegacyOnly,
    LegacyWriter,
    RowWrite,
)
from eatool.rollout.awaited import Awaited
from eatool.rollout.commanding import change_of, command_of, result_of, same_wish
from eatool.rollout.gate import Gate, Held
from eatool.rollout.ledger import Standing, fence_name
from eatool.rollout.phases import Phase
from eatool.rollout.view import PhaseView
from eatool.store.port import NEVER_MOVED, Fence, StaleEpoch, StoreUnavailable

_T = TypeVar("_T")

#: Phase changes met in a row by one change before the caller is asked to come back.
_ATTEMPTS: Final = 5
_RETRY_HELD, _RETRY_AWAY = 2.0, 5.0


class PhasedRegistry:
    """Same surface as :class:`~eatool.registry.service.Registry`; used from one event loop.

    Entities outside ``namespace`` go straight through; so do kinds that are not under rollout, as
    long as that is true when the change is recorded.
    Keep :meth:`run` going beside it: it takes part in phase changes and wakes the objects whose
    commands are done.

    Args:
        inner: decides.
        appender: what ``inner`` appends through.
        view: says where kinds stand.
        gate: holds changes while a phase is being prepared.
        legacy: writes legacy rows.
        queue: of commands, for the phases that need it.
        intake: enqueues into it.
        namespace: the one whose entities have legacy rows.

    """

    def __init__(
        self,
        inner: Registry,
        appender: Appender,
        *,
        view: PhaseView,
        gate: Gate,
        legacy: LegacyWriter,
        queue: CommandQueue,
        intake: CommandIntake,
        namespace: str,
    ) -> None:
        self._inner = inner
        self._appender = appender
        self._view = view
        self._gate = gate
        self._legacy = legacy
        self._queue = queue
        self._intake = intake
        self._namespace = namespace
        self._awaited = Awaited(queue, inner.arrivals)

    @property
    def pending(self) -> PendingChanges:
        """See :class:`~eatool.registry.service.Registry`."""
        return self._inner.pending

    @property
    def arrivals(self) -> Arrivals:
        """See :class:`~eatool.registry.service.Registry`."""
        return self._inner.arrivals

    async def apply(self, change: Change) -> PhasedOutcome:
        """Make the entity be as ``change.spec`` says, in the way its phase asks for."""
        return await self._hand_in(change, Operation.APPLY)

    async def delete(self, change: Change) -> PhasedOutcome:
        """End the entity, likewise."""
        return await self._hand_in(change, Operation.DELETE)

    async def process(self, command: Command) -> Result:
        """Decide a queued command now, whatever the phase is by now.

        A :class:`~eatool.commands.worker.Processor`.
        """
        change = change_of(command)
        try:
            outcome = await self._routed(change, command.operation, deciding=True)
        except SeenNewer:
            return Outdated()
        finally:
            self._awaited.soon(command.id, change.ref)
        return result_of(outcome)

    async def record(self, change: Change, operation: Operation, standing: Standing) -> Outcome:
        """Record what the legacy table says already; raises ``StaleEpoch``.

        The gate is not asked: what is authoritative is recorded while a phase is prepared, too.
        """
        act = self._inner.apply if operation is Operation.APPLY else self._inner.delete
        return await act(change, through=Fenced(self._appender, standing.fence))

    async def preload(self, snapshots: Callable[[], Iterator[Sequence[Record]]]) -> int:
        """See :class:`~eatool.registry.service.Registry`."""
        return await self._inner.preload(snapshots)

    def close(self) -> None:
        """Wait for running reads and writes of rows, and end their threads."""
        self._inner.close()
        self._legacy.close()

    async def run(self) -> None:
        """Acknowledge announced phases, and wake objects whose commands ended; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._gate.run())
            tasks.create_task(self._awaited.run())

    # -- routes ------------------------------------------------------------------------------

    async def _hand_in(self, change: Change, operation: Operation) -> PhasedOutcome:
        if change.ref.namespace != self._namespace:
            return await self._straight(change, operation)
        return await self._routed(change, operation, deciding=False)

    async def _routed(
        self, change: Change, operation: Operation, *, deciding: bool
    ) -> PhasedOutcome:
        """Write by phase; when a phase change comes between, decide anew by the new one."""
        kind = change.ref.aggregate_type
        try:
            for _ in range(_ATTEMPTS):
                async with self._gate.passing(kind) as standing:
                    try:
                        return await self._by_phase(change, operation, standing, deciding=deciding)
                    except StaleEpoch:
                        pass
                await asyncio.to_thread(self._view.refresh)
        except Held as held:
            return Unavailable(str(held), _RETRY_HELD)
        except StoreUnavailable as error:
            return Unavailable("the event store does not answer", _RETRY_AWAY, str(error))
        return Unavailable(f"the rollout of {kind} is moving", _RETRY_HELD)

    async def _by_phase(
        self, change: Change, operation: Operation, standing: Standing | None, *, deciding: bool
    ) -> PhasedOutcome:
        if standing is None:
            # It may have been put under rollout since the view last looked.
            fence = Fence(fence_name(change.ref.aggregate_type), NEVER_MOVED)
            return await self._straight(change, operation, Fenced(self._appender, fence))
        match standing.phase:
            case Phase.LEGACY if deciding and change.tentative:
                # No version of a row tells whether it is newer than the command. What is declared
                # now is written when its object is looked at again.
                raise SeenNewer(str(change.ref))
            case Phase.LEGACY:
                return await self._to_legacy(change, operation, standing)
            case Phase.DUAL_WRITE:
                return await self._to_both(change, operation, standing)
            case Phase.ASYNC_COMMANDS | Phase.RETIRED if not deciding:
                return await self._enqueued(change, operation)
            case _:
                return await self.record(change, operation, standing)

    async def _straight(
        self, change: Change, operation: Operation, through: Appender | None = None
    ) -> Outcome:
        if operation is Operation.DELETE:
            return await self._inner.delete(change, through=through)
        return await self._inner.apply(change, through=through)

    async def _to_legacy(
        self, change: Change, operation: Operation, standing: Standing
    ) -> PhasedOutcome:
        spec = None
        if operation is Operation.APPLY:
            try:
                spec = parse(KINDS[change.ref.aggregate_type], change.spec)
            except SpecInvalid:
                return await self._inner.apply(change, through=Deferring())  # says what is wrong
        version = await self._legacy.write(RowWrite(standing.fence, change.ref, spec))
        self.pending.settle(change.ref)
        return WrittenToLegacy(version)

    async def _to_both(
        self, change: Change, operation: Operation, standing: Standing
    ) -> PhasedOutcome:
        through = LegacyFirst(self._appender, self._legacy, standing.fence)
        try:
            outcome = await self._straight(change, operation, through)
        except LegacyOnly as only:
            return WrittenToLegacy(only.row_version, str(only.cause))
        if operation is Operation.DELETE and isinstance(outcome, Unchanged):
            # A row that never could be recorded has nobody else to end it.
            await self._legacy.write(RowWrite(standing.fence, change.ref, None))
        return outcome

    # -- commands ----------------------------------------------------------------------------

    async def _enqueued(self, change: Change, operation: Operation) -> PhasedOutcome:
        """The outcome, when it is known and nothing has to be recorded; else the command."""
        held = await self._newest_pending(change.ref)
        if held is not None and not same_wish(held.command, change, operation):
            return await self._enqueue(change, operation, f"after {held.command.id}")
        if held is not None and held.started_at is None:
            return self._queued(held, change.ref)
        try:
            # An answer that needs no event can be had at once. After a command of the same wish
            # has looked, it is why it waits.
            outcome = await self._straight(change, operation, Deferring())
        except Deferred as deferred:
            if held is None:
                base = f"version {deferred.append.expected_version}"
                return await self._enqueue(change, operation, base)
            await asyncio.to_thread(self._queue.wake, [change.ref.stream_id])
            return self._queued(held, change.ref)
        return outcome

    async def _enqueue(self, change: Change, operation: Operation, base: str) -> PhasedOutcome:
        command = command_of(change, operation, base)
        answer = await self._intake.enqueue(command)
        if answer.stored.state not in PENDING:
            # It ended without recording what is now accepted: what refused it has gone.
            released = await asyncio.to_thread(self._queue.release, command.id)
            if not released:
                return Unavailable("a newer change of the entity is being decided", _RETRY_HELD)
        return self._queued(answer.stored, change.ref)

    def _queued(self, stored: StoredCommand, ref: EntityRef) -> Queued:
        if stored.state is not CommandState.DEAD:  # a person has to see to that one
            self._awaited.put(stored.command.id, ref)
        return Queued(stored.command.id, stored.error)

    async def _newest_pending(self, ref: EntityRef) -> StoredCommand | None:
        found = await asyncio.to_thread(
            lambda: self._queue.find(states=PENDING, stream_id=ref.stream_id, limit=1)
        )
        return found[-1] if found else None
