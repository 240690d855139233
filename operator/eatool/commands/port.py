"""The queue as those who fill it and those who work it off see it.

Guarantees of every adapter:

* an enqueued command survives a crash; its id is enqueued once, however often it is asked for;
* of one stream at most one command is in flight, and they start in the order of arrival;
* each claim raises the stream's epoch, and every later word about the command carries it: a
  worker that was paused past its lease changes nothing any more;
* a newer generation of the same object takes the place of older ones that have not started.

What the queue cannot know is whether a worker that died had done its work already: processing
the same command again must change nothing. Deterministic event ids give that.

States::

    Queued -> Running -> Finished (recorded, unchanged, refused, outdated)
                      -> Waiting  (references are missing) -> Running, when woken or due
                      -> Queued   (a fault: again after a pause)
                      -> Dead     (a fault, too often)     -> Queued, when a person retries it
    Queued, Waiting, Dead -> Superseded (by a newer generation), Discarded (by a person)

A command that is refused is finished: that is the domain's answer, and a repetition would get
it again. A dead one has no answer. It holds up its stream, because what comes behind it was
meant to happen after it, and a stream that stands still is seen sooner than one that has lost a
change. A newer generation of the same object says all that it said, and replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from eatool.commands.results import Result
from eatool.domain.events import JsonObject
from eatool.store.port import StoreError


class Operation(StrEnum):
    """What a change asks for."""

    APPLY = "apply"
    DELETE = "delete"


class CommandState(StrEnum):
    """Where a command stands."""

    QUEUED = "Queued"
    RUNNING = "Running"
    WAITING = "Waiting"
    FINISHED = "Finished"
    DEAD = "Dead"
    SUPERSEDED = "Superseded"
    DISCARDED = "Discarded"


#: States of commands that have a place in their stream's queue.
PENDING: Final = frozenset(
    {CommandState.QUEUED, CommandState.RUNNING, CommandState.WAITING, CommandState.DEAD}
)
#: Of these, those that a newer generation may replace and a person may discard.
UNSTARTED: Final = PENDING - {CommandState.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One change to be decided later.

    Attributes:
        id: the same for every attempt to enqueue the same change.
        stream_id: ``{aggregate_type}/{namespace}/{name}``.
        uid, generation: the incarnation and revision that ask. Only commands that count
            generations replace each other; others are all processed, one after the other.
        payload: the rest of the change (spec, provenance); the queue does not look into it.
        actor: who asked, for lists.

    """

    id: UUID
    stream_id: str
    operation: Operation
    uid: str
    generation: int | None
    payload: JsonObject
    actor: str

    @property
    def aggregate_type(self) -> str:
        """The kind of the entity."""
        return self.stream_id.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCommand:
    """A command and what has become of it.

    Attributes:
        sequence: order of arrival; larger is later.
        due_at: when it is tried (again), while queued or waiting.
        attempts: how often it was started since it was enqueued, woken or retried by a person.
        result: of a finished command, or what a waiting one waits for.
        error: what went wrong in the last attempt that failed.
        superseded_by: id of the newer command that took its place.

    """

    command: Command
    sequence: int
    state: CommandState
    enqueued_at: datetime
    due_at: datetime | None = None
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: Result | None = None
    error: str | None = None
    superseded_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """The command is durable from here on.

    Its state is ``Superseded`` from the beginning when a newer generation had overtaken it.
    """

    stored: StoredCommand


@dataclass(frozen=True, slots=True)
class Known:
    """The id had been enqueued before; nothing was added."""

    stored: StoredCommand


#: What becomes of a command that is handed in with others: an error is that command's alone.
Enqueued = Queued | Known | StoreError


@dataclass(frozen=True, slots=True)
class Leased:
    """A command in the hands of one worker until the lease ends.

    ``attempts`` counts this one; ``enqueued_at`` is by the clock of the queue.
    """

    command: Command
    worker: str
    epoch: int
    attempts: int
    enqueued_at: datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at the queue, of one kind or all.

    Attributes:
        queued, running, waiting, dead: commands by state.
        oldest: age in seconds of the oldest that is queued or running; 0 when there is none.
            Waiting and dead ones do not get done by patience and are counted, not aged.
        finished: commands finished within the window.
        latencies: of those, seconds from enqueued to finished, by quantile; empty without any.

    """

    queued: int
    running: int
    waiting: int
    dead: int
    oldest: float
    finished: int
    latencies: dict[float, float]


class CommandQueue(Protocol):
    """Methods block; call them from a worker thread in asyncio code.

    Every method raises :class:`~eatool.store.port.StoreUnavailable` when the database is away.
    """

    def enqueue(self, command: Command) -> Queued | Known:
        """Keep the command. Older generations that it replaces become ``Superseded``."""
        ...

    def enqueue_batch(self, commands: Sequence[Command]) -> list[Enqueued]:
        """The same for several, one after the other, in one commit.

        The answers tell how things stand after it. A command that cannot be stored
        (``InvalidEvent``) does not keep the others from being stored.
        """
        ...

    def claim(self, worker: str, lease: float, limit: int) -> list[Leased]:
        """Start at most ``limit`` commands, each the first of its stream; never waits.

        They are ``worker``'s for ``lease`` seconds. A command whose worker's lease has ended is
        started again.
        """
        ...

    def renew(self, leased: Sequence[Leased], lease: float) -> list[Leased]:
        """Prolong leases to ``lease`` seconds from now; those that are lost already."""
        ...

    def finish(self, leased: Leased, result: Result, *, again_after: float = 60.0) -> bool:
        """Store the result; False when the lease is lost, and nothing is stored.

        :class:`~eatool.commands.results.Awaiting` leaves the command waiting, to be decided
        again when it is woken or after ``again_after`` seconds. What was woken while it was
        running, and is not recorded, is decided again at once.
        """
        ...

    def finish_batch(
        self, done: Sequence[tuple[Leased, Result]], *, again_after: float = 60.0
    ) -> list[bool | StoreError]:
        """The same for several, in one commit; a result that cannot be stored fails alone."""
        ...

    def retry(self, leased: Leased, after: float, why: str, *, counted: bool = True) -> bool:
        """Put back after a fault, due in ``after`` seconds; False when the lease is lost.

        Not ``counted``: the attempt did not happen, the fault was not the command's.
        """
        ...

    def bury(self, leased: Leased, why: str) -> bool:
        """Make it a dead letter, which holds up its stream; False when the lease is lost."""
        ...

    def wake(self, stream_ids: Collection[str]) -> int:
        """Decide again what waits in these streams, or was refused there last; how many."""
        ...

    def release(self, command_id: UUID) -> bool:
        """Try again now, with all attempts: a person's answer to a dead letter.

        For queued, waiting and dead commands, and for a refused one that is its stream's last.
        False for all others: running them again could undo what came after them.
        """
        ...

    def discard(self, command_id: UUID) -> bool:
        """Take a command that is not running out of its stream; False when there is none."""
        ...

    def get(self, command_id: UUID) -> StoredCommand | None:
        """One command."""
        ...

    def states(self, command_ids: Collection[UUID]) -> dict[UUID, CommandState]:
        """Of those that there are."""
        ...

    def find(
        self,
        *,
        states: Collection[CommandState] | None = None,
        stream_id: str | None = None,
        aggregate_type: str | None = None,
        limit: int = 200,
    ) -> list[StoredCommand]:
        """The newest ``limit`` commands, oldest first."""
        ...

    def figures(
        self,
        *,
        aggregate_type: str | None = None,
        window: float = 3600.0,
        quantiles: Sequence[float] = (0.5, 0.95, 0.99),
    ) -> Figures:
        """Depth, age and latencies; ``window`` in seconds back from now."""
        ...

    def prune(self, older_than: float, limit: int = 1000) -> int:
        """Forget commands that ended more than ``older_than`` seconds ago; how many.

        The log keeps what they did. A forgotten id can be enqueued again.
        """
        ...

    def on_enqueue(self, wake: Callable[[int], None]) -> Callable[[], None]:
        """Call ``wake(sequence)`` when this process has made a command due; returns the remover.

        A hint for latency only: what other processes enqueue is found by polling.
        """
        ...
