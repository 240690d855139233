"""Status of an ``EventSourcingRollout``: what a decision says, what the next one starts from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self

from pydantic import Field

from eatool.domain.events import JsonObject
from eatool.domain.kind import SpecObject
from eatool.rollout.criteria import Outcome
from eatool.rollout.ledger import TransitionResult, Trigger
from eatool.rollout.phases import Phase

#: A status that differs only in the time of evaluation is written again after this.
WRITE_AFTER: Final = timedelta(minutes=2)

State = Literal[
    "Soaking",
    "Blocked",
    "CoolingDown",
    "Held",
    "AwaitingApproval",
    "AwaitingWindow",
    "AwaitingDependency",
    "Preparing",
    "RollingBack",
    "RollbackBlocked",
    "Paused",
    "Complete",
]


class CriterionStatus(SpecObject):
    """A criterion at its newest evaluation."""

    name: str = Field(description="As in the spec.")
    result: Outcome = Field(description="Inconclusive and Error hold what they should decide.")
    demand: str = Field(description="What must hold.")
    value: str | None = Field(None, description="The figure; absent when there is none.")
    samples: int = Field(0, description="Observations behind it.")
    failures: int = Field(0, description="Evaluations that failed in a row.")
    since: datetime = Field(description="Since when the result is what it is.")
    dry_run: bool = Field(False, description="Shown, decides nothing.")
    message: str | None = Field(None, description="Why there is no figure, or what it is about.")


class GateStatus(SpecObject):
    """A gate at its newest evaluation."""

    name: str = Field(description="As in the spec; promote and held are there of themselves.")
    type: Literal["Manual", "Window", "DependsOn"] = Field(description="As in the spec.")
    state: Literal["Waiting", "Open", "Approved"] = Field(description="All but Waiting let pass.")
    message: str = Field(description="What it waits for, or why it does not.")
    actor: str | None = Field(None, description="Who approved.")
    ticket: str | None = Field(None, description="As given with the approval.")


class TransitionStatus(SpecObject):
    """The promotion or rollback that is next, or under way."""

    id: str = Field(description="What approvals name.")
    from_: Phase = Field(alias="from", description="The phase that is left.")
    to: Phase = Field(description="The phase that is entered.")
    started_at: datetime = Field(description="When it was first considered.")
    soak_started_at: datetime | None = Field(
        None, description="Moved on by the time that does not count; absent while criteria fail."
    )
    soak_until: datetime | None = Field(None, description="When the soak ends if nothing fails.")
    replicas_acked: int | None = Field(None, description="Replicas that are ready for it.")
    replicas_expected: int | None = Field(None, description="Replicas that are alive.")


class RollbackStatus(SpecObject):
    """Whether there is a way back."""

    possible: bool = Field(description="Whether going back loses nothing.")
    reason: str = Field(description="Why, or why not.")
    demotions: int = Field(description="Automatic rollbacks since a person last had a say.")
    cooling_until: datetime | None = Field(
        None, description="Nothing moves by itself before this; absent when nothing cools down."
    )


class EvidenceStatus(SpecObject):
    """A criterion as it was when a transition began."""

    name: str = Field(description="As in the spec then.")
    result: Outcome = Field(description="What it said.")
    value: str | None = Field(None, description="The figure; absent when there was none.")


class HistoryEntry(SpecObject):
    """A transition that ended."""

    epoch: int = Field(description="Of the phase that was entered, or would have been.")
    from_: Phase | None = Field(None, alias="from", description="Absent for the first.")
    to: Phase = Field(description="The phase it led to.")
    result: TransitionResult = Field(description="How it ended.")
    trigger: Trigger = Field(description="What set it off.")
    actor: str = Field(description="Who, as far as is known; system = the operator by itself.")
    reason: str = Field(description="Why.")
    ticket: str | None = Field(None, description="As given with the approval.")
    evidence: tuple[EvidenceStatus, ...] = Field(
        (), description="Criteria as they were; the event has them in full."
    )
    started_at: datetime = Field(description="When replicas were told.")
    finished_at: datetime = Field(description="When it ended.")
    event_position: int | None = Field(None, description="Of its event in the log.")


class RolloutStatus(SpecObject):
    """Where a rollout stands; conditions and observedGeneration are added by who writes it."""

    phase: Phase = Field(description="The phase that holds, on every replica.")
    phase_epoch: int = Field(description="The store refuses what was decided under another one.")
    phase_since: datetime = Field(description="When it was entered.")
    state: State = Field(description="What is going on.")
    message: str = Field(description="The same in a sentence.")
    criteria_summary: str = Field(description="How many criteria pass, of all that count: 4/5.")
    evaluated_at: datetime = Field(description="When criteria and gates were looked at.")
    transition: TransitionStatus | None = Field(None, description="Absent when nothing is next.")
    criteria: tuple[CriterionStatus, ...] = Field((), description="Of the next promotion.")
    rollback_criteria: tuple[CriterionStatus, ...] = Field(
        (), description="What keeps the kind in its phase."
    )
    gates: tuple[GateStatus, ...] = Field((), description="Of the next promotion.")
    rollback: RollbackStatus = Field(description="The way back.")
    retired_table: str | None = Field(
        None, description="What the legacy table is called since Retired; absent when it is gone."
    )
    history: tuple[HistoryEntry, ...] = Field((), description="The newest transitions.")

    def to_json(self) -> JsonObject:
        """camelCase, without what is absent."""
        shown: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return shown

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """Read it back; members that are not of this model are passed over.

        Raises :class:`pydantic.ValidationError`: begin without a status then.
        """
        names = {info.alias or name for name, info in cls.model_fields.items()}
        return cls.model_validate({key: data[key] for key in names & data.keys()})

    def worth_writing(self, before: RolloutStatus | None) -> bool:
        """Whether it tells more than that another look was taken."""
        if before is None or self.evaluated_at - before.evaluated_at >= WRITE_AFTER:
            return True
        return self.model_copy(update={"evaluated_at": before.evaluated_at}) != before
