"""Where each kind stands in its rollout, and how it moves: announced, acknowledged, committed.

A transition has two steps, as a two-phase commit. ``begin`` announces a new epoch: every replica
lets its changes of the kind finish, holds new ones back, and acknowledges. ``commit`` moves phase
and fence together. Between the two the old phase holds; whoever finds the transition there after
a crash commits or aborts it. An epoch is announced once: after an abort the next attempt has
another, so that late acknowledgements of the first cannot count for the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from eatool.domain.events import JsonObject
from eatool.rollout.phases import Phase
from eatool.store.port import Fence

#: A replica without a sign of life for this long is not waited for: the fence keeps it out.
DEAD_AFTER: Final = timedelta(seconds=10)
#: Transitions of a kind that are kept for display.
HISTORY_LIMIT: Final = 50
#: Versioned type of the event that records a transition.
PHASE_CHANGED: Final = "RolloutPhaseChanged.v1"


def stream_of(aggregate_type: str) -> str:
    """The stream of a kind's transitions."""
    return f"rollout/-/{aggregate_type}"


def fence_name(aggregate_type: str) -> str:
    """The fence that all writes of a kind under rollout pass."""
    return f"rollout/{aggregate_type}"


class Trigger(StrEnum):
    """What set a transition off."""

    #: The first sight of a rollout.
    ENROLLED = "Enrolled"
    #: Every criterion and gate was passed.
    AUTO = "Auto"
    #: A person approved the last gate.
    APPROVAL = "Approval"
    #: The target in the spec is below the phase.
    SPEC = "Spec"
    #: A rollback criterion failed.
    FAILURE = "Failure"
    #: Somebody asked for it by command line or API.
    COMMAND = "Command"


class TransitionResult(StrEnum):
    """How a transition ended."""

    ENROLLED = "Enrolled"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a kind changes its phase, as history and the event tell it.

    Attributes:
        reason: one sentence.
        actor: who; ``system`` = the operator on its own.
        ticket: as given with the approval.
        evidence: criteria as they were, each as in the resource's status.
        gates: likewise.

    """

    trigger: Trigger
    reason: str
    actor: str = "system"
    ticket: str | None = None
    evidence: tuple[JsonObject, ...] = ()
    gates: tuple[JsonObject, ...] = ()

    def to_json(self) -> JsonObject:
        """The JSON form; absent facts are absent keys."""
        facts: dict[str, Any] = {
            "trigger": self.trigger.value,
            "reason": self.reason,
            "actor": self.actor,
            "ticket": self.ticket,
            "evidence": list(self.evidence),
            "gates": list(self.gates),
        }
        return {key: value for key, value in facts.items() if value is not None}

    @classmethod
    def from_json(cls, data: JsonObject) -> Cause:
        """Read it back."""
        return cls(
            Trigger(data["trigger"]),
            data["reason"],
            data["actor"],
            data.get("ticket"),
            tuple(data["evidence"]),
            tuple(data["gates"]),
        )


@dataclass(frozen=True, slots=True)
class Preparation:
    """A transition that is announced and neither committed nor aborted."""

    to: Phase
    epoch: int
    since: datetime
    cause: Cause


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a kind stands.

    Attributes:
        epoch: of the fence while this phase holds; each phase change has a greater one.
        since: when the phase was entered.
        preparation: the transition under way, if any.
        fence: what every append of the kind carries.

    """

    aggregate_type: str
    phase: Phase
    epoch: int
    since: datetime
    preparation: Preparation | None = None
    fence: Fence = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Make the fence once: it goes with every append."""
        object.__setattr__(self, "fence", Fence(fence_name(self.aggregate_type), self.epoch))

    @property
    def preparing(self) -> Phase | None:
        """The phase being prepared: new changes of the kind wait."""
        return self.preparation.to if self.preparation else None


@dataclass(frozen=True, slots=True)
class Replica:
    """A process that may write the kind; ``acked_epoch`` 0 = none yet."""

    name: str
    acked_epoch: int
    seen_at: datetime
    alive: bool


@dataclass(frozen=True, slots=True)
class TransitionRecord:
    """A transition that ended. ``position`` is that of its event; none when it was aborted."""

    aggregate_type: str
    epoch: int
    result: TransitionResult
    source: Phase | None
    target: Phase
    started_at: datetime
    finished_at: datetime
    cause: Cause
    position: int | None = None


def entered_from(standing: Standing, history: Iterable[TransitionRecord]) -> Phase | None:
    """The phase before this one; ``None`` when there was none, or it is forgotten."""
    return next((each.source for each in history if each.epoch == standing.epoch), None)


class LedgerRefused(Exception):
    """The ledger cannot take this step; the message says why."""


class CannotRetire(LedgerRefused):
    """The legacy table cannot be closed as it is."""


class NotUnderRollout(LedgerRefused):
    """The kind has no row in the ledger."""

    def __init__(self, aggregate_type: str) -> None:
        super().__init__(f"{aggregate_type} is not under rollout")


class NoSuchStep(LedgerRefused):
    """Not the next or the previous phase."""


class TransitionUnderWay(LedgerRefused):
    """Another transition of the kind has not ended yet."""


class NotAnnounced(LedgerRefused):
    """The epoch is not the one being prepared: the transition has ended otherwise."""


class Ledger(Protocol):
    """Standings of all kinds under rollout. Methods block; thread-safe.

    Every method raises :class:`~eatool.store.port.StoreUnavailable` when the database is away.
    """

    def standings(self) -> dict[str, Standing]:
        """By aggregate type; kinds that are not under rollout are absent."""
        ...

    def enroll(self, aggregate_type: str, cause: Cause) -> Standing:
        """Put a kind under rollout, in phase Legacy; the standing it has when it is already."""
        ...

    def begin(self, aggregate_type: str, to: Phase, cause: Cause) -> Standing:
        """Announce a transition; the standing as it is when this very one is under way.

        Raises :class:`LedgerRefused`.
        """
        ...

    def commit(self, aggregate_type: str, epoch: int) -> Standing:
        """Enter the phase announced with ``epoch``; the standing as it is when that is done.

        Raises :class:`LedgerRefused`.
        """
        ...

    def abort(self, aggregate_type: str, epoch: int, reason: str) -> Standing:
        """Stay in the old phase; nothing happens when the transition was aborted already.

        Raises :class:`LedgerRefused`.
        """
        ...

    def heartbeat(self, replica: str, acknowledged: dict[str, int]) -> None:
        """A sign of life, with the newest epoch the replica is ready for, by aggregate type."""
        ...

    def leave(self, replica: str) -> None:
        """The replica writes no more; nobody waits for it."""
        ...

    def replicas(self, aggregate_type: str) -> list[Replica]:
        """By name; those silent for an hour are forgotten."""
        ...

    def history(
        self, aggregate_type: str, limit: int = HISTORY_LIMIT
    ) -> Sequence[TransitionRecord]:
        """The newest transitions, newest first."""
        ...
