"""The application service behind every entrance: decide a change and record it, exactly once.

Level-triggered: what is recorded is the difference between the desired spec and the state folded
from the stream, so a repeated, late or coalesced trigger records nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar, cast

from eatool.domain.decision import Accepted, EntityState, Rejected, Waiting
from eatool.domain.errors import Code, FieldError, SpecInvalid
from eatool.domain.evolve import BrokenStream
from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntitySpec
from eatool.domain.kinds import KINDS
from eatool.domain.landscape import Fact, Landscape
from eatool.domain.parsing import parse
from eatool.domain.policies import Policy
from eatool.domain.uniqueness import advice
from eatool.domain.upcasting import UnknownEventType
from eatool.projections.queries import Record
from eatool.registry.arrivals import Arrivals
from eatool.registry.change import Change
from eatool.registry.deciding import Decided, Decisions, Wish
from eatool.registry.envelope import new_events
from eatool.registry.folding import CachedStates, Folded, LastEvent, Log, folded_of
from eatool.registry.outcome import (
    Outcome,
    PhasedOutcome,
    Recorded,
    Refused,
    Unavailable,
    Unchanged,
    WaitingFor,
)
from eatool.registry.pending import PendingChanges
from eatool.store.clock import Clock, utc_now
from eatool.store.port import (
    Append,
    Appended,
    AppendRefused,
    EventTooLarge,
    InvalidEvent,
    StoreUnavailable,
    UnknownEventVersion,
)

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: Called with an aggregate type when a change of it was refused and is decided anew; on the event
#: loop, so it must not block or raise.
Retried = Callable[[str, AppendRefused], None]

#: Decisions per change before the caller is asked to come back.
_ATTEMPTS = 10
#: Upper bound of the first pause between attempts, seconds; doubles up to the second.
_PAUSE, _LONGEST_PAUSE = 0.005, 0.2
#: What users are told; the driver's words may name hosts.
_AWAY = "the event store does not answer"
_RETRY_CONTENDED, _RETRY_UNAVAILABLE, _RETRY_UNREADABLE = 1.0, 5.0, 60.0


def unnoticed(_aggregate_type: str, _refusal: AppendRefused) -> None:
    """Nobody counts."""


class Appender(Protocol):
    """Group commit, or anything that appends like it."""

    async def append(self, *appends: Append) -> Appended:
        """One transaction; raises ``StoreError``."""
        ...


class Entrance(Protocol):
    """Where changes are handed in: the :class:`Registry`, or one that is being rolled out."""

    @property
    def pending(self) -> PendingChanges:
        """Desired state that is not accepted yet."""
        ...

    @property
    def arrivals(self) -> Arrivals:
        """Who waits for whom."""
        ...

    async def apply(self, change: Change) -> PhasedOutcome:
        """See :class:`Registry`."""
        ...

    async def delete(self, change: Change) -> PhasedOutcome:
        """See :class:`Registry`."""
        ...


class Registry:
    """Decides and records changes; one per process, used from one event loop.

    Reads block worker threads, ``readers`` of them; appends go through ``appender``. ``pending``
    and ``arrivals`` are kept up to date and may be shared with the caller. ``retried`` is told
    of appends that met another writer's.
    """

    def __init__(
        self,
        log: Log,
        appender: Appender,
        landscape: Landscape,
        *,
        policy: Policy | None = None,
        clock: Clock = utc_now,
        retried: Retried = unnoticed,
        pending: PendingChanges | None = None,
        arrivals: Arrivals | None = None,
        readers: int = 4,
        cached_states: int = 20_000,
    ) -> None:
        self.pending = pending or PendingChanges()
        self.arrivals = arrivals or Arrivals()
        self._appender = appender
        self._landscape = landscape
        self._retried = retried
        self._states = CachedStates(log, cached_states)
        self._decisions = Decisions(
            log,
            self._states,
            landscape,
            pending=self.pending,
            policy=policy or Policy(),
            clock=clock,
        )
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="registry")
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def apply(self, change: Change, *, through: Appender | None = None) -> Outcome:
        """Make the entity be as ``change.spec`` says; creates, updates or finds nothing to do.

        ``through`` appends in place of the registry's own appender. What it raises besides
        ``AppendRefused`` and ``StoreUnavailable`` is the caller's to understand.
        """
        kind = KINDS[change.ref.aggregate_type]
        try:
            desired = parse(kind, change.spec)
        except SpecInvalid as invalid:
            wish = Wish(rejected=Rejected(invalid.errors))
            return await self._run(change, wish, through)
        if kind.parent_field is not None:
            parent = getattr(desired, kind.parent_field)
            self.pending.desire_parent(
                change.ref, parent and kind.ref(change.ref.namespace, parent)
            )
        return await self._run(change, Wish(desired), through)

    async def delete(self, change: Change, *, through: Appender | None = None) -> Outcome:
        """End the entity; one that is not recorded is :class:`Unchanged`.

        Does not mark it as terminating: a caller whose objects are going away for certain, once
        the registry lets them, says so to ``pending``.
        """
        return await self._run(change, Wish(), through)

    async def preload(self, snapshots: Callable[[], Iterator[Sequence[Record]]]) -> int:
        """Fill the cache of states from read-model pages before a restart's flood of objects.

        Returns the number of states read. An optimisation only: what is not there is folded.
        """
        return await self._in_reader(lambda: self._preload(snapshots))

    def close(self) -> None:
        """Wait for running reads and end the worker threads."""
        self._readers.shutdown()

    async def _run(self, change: Change, wish: Wish, through: Appender | None) -> Outcome:
        ticket = self.arrivals.ticket()
        try:
            outcome = await self._attempt(change, wish, through or self._appender)
        except StoreUnavailable as error:
            outcome = Unavailable(_AWAY, _RETRY_UNAVAILABLE, str(error))
        except (UnknownEventVersion, UnknownEventType, BrokenStream) as error:
            outcome = Unavailable(str(error), _RETRY_UNREADABLE)
        self._settle(change, outcome, ticket)
        return outcome

    async def _attempt(self, change: Change, wish: Wish, through: Appender) -> Outcome:
        turn = self._turns[change.ref.category]
        if turn.locked():
            async with turn:
                pass
        try:
            return await self._once(change, wish, through)
        except AppendRefused as refusal:
            self._refused(change, refusal)
        # Contenders of this process take turns from here on, and newcomers let them pass: a
        # storm of changes that keep refusing each other would use up everybody's attempts.
        async with turn:
            for attempt in range(1, _ATTEMPTS):
                try:
                    return await self._once(change, wish, through)
                except AppendRefused as refusal:
                    self._refused(change, refusal)
                longest = min(_PAUSE * 2**attempt, _LONGEST_PAUSE)
                await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret
        why = f"{change.ref}: other writers were faster {_ATTEMPTS} times"
        return Unavailable(why, _RETRY_CONTENDED)

    async def _once(self, change: Change, wish: Wish, through: Appender) -> Outcome:
        decided = await self._in_reader(lambda: self._decisions.decide(change, wish))
        state, last, effective = decided.folded.state, decided.folded.last, decided.effective
        match decided.decision:
            case Accepted(events=()) as accepted:
                return Unchanged(state, last, accepted.warnings, effective, accepted.depends_on)
            case Accepted() as accepted:
                return await self._record(change, decided, accepted, through)
            case Waiting(errors, missing):
                return WaitingFor(state, last, errors, missing, effective)
            case Rejected(errors, blocked_by):
                return Refused(state, last, errors, blocked_by, effective)

    async def _record(
        self, change: Change, decided: Decided, accepted: Accepted, through: Appender
    ) -> Outcome:
        folded = decided.folded
        append = Append(
            change.ref.stream_id,
            folded.state.version,
            new_events(change, accepted.events, folded.state, folded.last),
            accepted.constraints,
            decided.position,
        )
        try:
            appended = await through.append(append)
        except (EventTooLarge, InvalidEvent) as error:
            # The spec was measured and checked before; what is left is what came along with it.
            code = Code.TOO_LARGE if isinstance(error, EventTooLarge) else Code.FORMAT
            complaint = FieldError("metadata.annotations", code, f"cannot be recorded: {error}")
            return Refused(folded.state, folded.last, (complaint,))
        newest = appended.events[-1]
        _log.debug(
            "%s: %d events up to position %d",
            change.ref, len(appended.events), newest.position,
            extra={"correlation_id": str(newest.correlation_id)},
        )  # fmt: skip
        deleted = accepted.constraints.no_referrers
        state = EntityState(
            change.ref, newest.version, None if deleted else accepted.events[-1].entity
        )
        last = LastEvent.of(newest)
        self._states.put(Folded(state, last))
        clashing = await self._clashing(change.ref, cast("EntitySpec | None", state.spec))
        warnings = dict.fromkeys((*accepted.warnings, *(error for error, _ in clashing)))
        facts = accepted.depends_on.union(*(found for _, found in clashing))
        changed = {name for event in accepted.events for name in event.changes}
        others = {fact.entity for _, found in clashing for fact in found if fact.field in changed}
        if others:  # a new clash is theirs as well
            self.arrivals.wake(others)
        return Recorded(
            state,
            last,
            appended.events,
            tuple(warnings),
            appended.repeated,
            decided.effective,
            facts,
        )

    async def _clashing(
        self, ref: EntityRef, spec: EntitySpec | None
    ) -> list[tuple[FieldError, frozenset[Fact]]]:
        """Clashes that are only said, looked for once more after the append.

        No constraint keeps two of them from being recorded at the same time, each without having
        seen the other. The later one to look sees both, so one of them is told.
        """
        kind = KINDS[ref.aggregate_type]
        if spec is None or not any(shared.advisory for shared in kind.shared):
            return []
        try:
            return await self._in_reader(lambda: advice(kind, ref, spec, self._landscape))
        except StoreUnavailable:
            return []  # it is recorded all the same

    def _refused(self, change: Change, refusal: AppendRefused) -> None:
        self._states.drop(change.ref)
        self._retried(change.ref.aggregate_type, refusal)

    def _settle(self, change: Change, outcome: Outcome, ticket: int) -> None:
        """Tell the bookkeeping of this process what came of the change."""
        match outcome:
            case Recorded(depends_on=facts) | Unchanged(depends_on=facts):
                self.pending.settle(change.ref)
                self.arrivals.follow(change.ref, facts, since=ticket)
            case WaitingFor(missing=targets) | Refused(blocked_by=targets):
                self.arrivals.wait(change.ref, targets, since=ticket)
            case Unavailable():
                pass
        if isinstance(outcome, Recorded):
            self.arrivals.recorded(outcome.events)

    def _preload(self, snapshots: Callable[[], Iterator[Sequence[Record]]]) -> int:
        read = 0
        for page in snapshots():
            for record in page:
                if self._states.full:
                    return read
                folded = folded_of(record)
                if folded is not None:
                    self._states.put(folded)
                    read += 1
        return read

    async def _in_reader(self, read: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, read)
