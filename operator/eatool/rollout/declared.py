"""``EventSourcingRollout``: how far a kind may go, on what evidence, and who has a say."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field, Strict

from eatool.domain.fields import Flag
from eatool.domain.kind import SpecObject
from eatool.domain.kinds import KINDS
from eatool.domain.text import SetOf, Text
from eatool.rollout.phases import Phase

_UNITS = {"h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = r"(?:[0-9]+(?:\.[0-9]+)?[hms])+"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_KIND_NAMES = tuple(kind.kind for kind in KINDS.values())

#: As the API server's own: ``72h``, ``1h30m``, ``90s``.
Duration = Annotated[
    str,
    Text(30, pattern=_DURATION, legal="a duration such as 72h, 1h30m or 90s", trim=False),
]
TimeOfDay = Annotated[
    str, Text(5, pattern=_TIME, legal="a time of day such as 09:00 or 17:30", trim=False)
]
KindName = Annotated[
    str,
    Text(63, pattern="|".join(_KIND_NAMES), legal="one of " + ", ".join(_KIND_NAMES), trim=False),
]
DnsLabel = Annotated[
    str,
    Text(
        63,
        pattern=r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?",
        legal="lower-case letters, digits and inner hyphens",
        trim=False,
    ),
]
Metric = Literal[
    "ParityMismatches",
    "ParityErrors",
    "ParityCoverage",
    "RebuildDifferences",
    "ProjectionLagSeconds",
    "ProjectionLagEvents",
    "PublishLagSecondsP99",
    "ParkedStreams",
    "ErrorRatio",
    "AppendConflictRatio",
    "CommandLatencySecondsP99",
    "PromQL",
]
Operator = Literal["==", "<", "<=", ">", ">="]
When = Literal["Always", "CaseDiffers", "BlanksDiffer", "EmptyOrAbsent", "Unrecordable"]
Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

#: How far back built-in metrics are kept.
LONGEST_WINDOW: Final = timedelta(hours=24)


def duration(text: str) -> timedelta:
    """A :data:`Duration` as Python has it."""
    parts = re.findall(r"([0-9.]+)([hms])", text)
    return sum((timedelta(**{_UNITS[unit]: float(n)}) for n, unit in parts), timedelta())


class CriterionSpec(SpecObject):
    """A figure and what it has to be."""

    name: DnsLabel = Field(description="Unique in its list; shown in status, metrics and history.")
    metric: Metric = Field(
        description="What is measured of this kind; PromQL asks a Prometheus. ParityErrors are "
        "legacy rows that can be in no log, unless a rule of parity.ignored accepts them; "
        "ParityCoverage is a share from 0 to 1; RebuildDifferences are rows in which the newest "
        "rebuild from zero differs from the live table."
    )
    op: Operator = Field(description="value OP threshold must hold.")
    threshold: Annotated[
        str, Text(30, pattern=r"-?[0-9]+(?:\.[0-9]+)?", legal="a decimal number", trim=False)
    ] = Field(description="A decimal number, as text.")
    window: Duration | None = Field(
        None,
        description="How far back to look, at most 24h; default 5m. PromQL has its own ranges.",
    )
    min_samples: Annotated[int, Strict(), Field(ge=1, le=1_000_000_000)] | None = Field(
        None,
        description="Fewer observations are missing data; default 1. PromQL tells no number of "
        "them.",
    )
    on_no_data: Literal["Inconclusive", "Fail"] | None = Field(
        None, description="What missing data counts as; Inconclusive (default) holds. Never a pass."
    )
    prom_ql: Annotated[str, Text(2000)] | None = Field(
        None, alias="promQL", description="Query of metric PromQL; a single number must come back."
    )
    dry_run: Flag | None = Field(
        None, description="Evaluate and show it, decide nothing by it. Default false."
    )


class RollbackCriterionSpec(CriterionSpec):
    """A figure and what it has to stay, lest the kind goes one phase back."""

    failure_limit: Annotated[int, Strict(), Field(ge=0, le=1000)] | None = Field(
        None, description="Evaluations that may fail in a row; default 0."
    )


class GateSpec(SpecObject):
    """Something other than a figure that a promotion waits for."""

    name: DnsLabel = Field(description="Unique in its list; promote and held are taken.")
    type: Literal["Manual", "Window", "DependsOn"] = Field(
        description="Manual: an approval of exactly this transition. Window: times of the week. "
        "DependsOn: another kind has come far enough."
    )
    days: Annotated[tuple[Day, ...], SetOf(7)] = Field(
        (), description="Window: days on which it opens; every day when empty."
    )
    opens: TimeOfDay | None = Field(None, description="Window: when it opens.")
    closes: TimeOfDay | None = Field(
        None, description="Window: when it closes; before opens = on the next day."
    )
    time_zone: Annotated[str, Text(64, trim=False)] | None = Field(
        None, description="Window: IANA name such as Europe/Berlin; default UTC."
    )
    entity_kind: KindName | None = Field(None, description="DependsOn: the other kind.")
    min_phase: Phase | None = Field(None, description="DependsOn: the phase it must have reached.")


class TransitionSpec(SpecObject):
    """What one promotion needs."""

    to: Literal["DualWrite", "ProjectionOnly", "AsyncCommands", "Retired"] = Field(
        description="The phase that is entered."
    )
    criteria: Annotated[tuple[CriterionSpec, ...], Field(max_length=20)] | None = Field(
        None,
        description="All must pass, unbroken, for soakTime. Not given = the defaults of the phase, "
        "see the documentation; an empty list = none. Into Retired ParityErrors and "
        "RebuildDifferences must be 0 in any case.",
    )
    soak_time: Duration | None = Field(
        None,
        description="Any failure starts it anew; time without data or operator does not count. "
        "Default 24h; 0s into DualWrite, 168h into Retired.",
    )
    gates: Annotated[tuple[GateSpec, ...], Field(max_length=10)] = Field(
        (), description="All must be open at the moment of promotion."
    )
    auto_promote: Flag | None = Field(
        None,
        description="Promote when criteria, soak and gates allow it; default false: an approval of "
        "the gate promote is needed. Never for Retired.",
    )


class RollbackSpec(SpecObject):
    """When a kind goes back by itself: to ProjectionOnly or DualWrite, never from Retired."""

    auto: Flag | None = Field(None, description="Default true.")
    criteria: Annotated[tuple[RollbackCriterionSpec, ...], Field(max_length=20)] | None = Field(
        None, description="Must hold after a promotion; default: no parity mismatches."
    )
    cooldown: Duration | None = Field(
        None, description="After a rollback nothing moves by itself for this long; default 1h."
    )
    max_demotions: Annotated[int, Strict(), Field(ge=1, le=10)] | None = Field(
        None,
        description="After so many rollbacks the rollout is Held until a person approves the gate "
        "held, or changes the phase by targetPhase; default 2.",
    )


class IgnoredDifference(SpecObject):
    """A difference between legacy table and log that is none, or that is accepted."""

    name: DnsLabel = Field(description="Name of the rule, shown with what it hides.")
    fields: Annotated[tuple[Annotated[str, Text(100)], ...], Field(min_length=1, max_length=50)] = (
        Field(
            description="Fields of the kind's spec, such as description; metadata.name with when "
            "Unrecordable."
        )
    )
    when: When | None = Field(
        None,
        description="Always (default): whatever both sides say. CaseDiffers: the same but for "
        "upper and lower case. BlanksDiffer: the same but for white space. EmptyOrAbsent: neither "
        "says anything. Unrecordable: the row cannot be read or recorded because of these fields, "
        "and need not be in the log. Anything else in these fields is a difference as ever.",
    )
    reason: Annotated[str, Text(500)] | None = Field(None, description="Why that is so.")


class ParitySpec(SpecObject):
    """How legacy table and log are compared."""

    ignored: Annotated[tuple[IgnoredDifference, ...], Field(max_length=20)] = Field(
        (), description="Differences that do not count."
    )
    sweep_interval: Duration | None = Field(
        None, description="Every row is compared once in this time; default 1h."
    )


class PrometheusSpec(SpecObject):
    """Where criteria of metric PromQL are asked."""

    url: Annotated[
        str,
        Text(
            512,
            pattern=r"https?://[^\s@/]+(?:/[^\s?#]*)?",
            legal="http[s]://host[:port][/path] without credentials",
        ),
    ] = Field(description="Root of the HTTP API; /api/v1/query is appended.")


class ApprovalSpec(SpecObject):
    """A person's word for one transition; for any other it means nothing."""

    transition_id: Annotated[str, Text(63, trim=False)] = Field(
        alias="transitionID", description="status.transition.id."
    )
    gate: DnsLabel = Field(description="A Manual gate, or promote, or held.")
    reason: Annotated[str, Text(500)] | None = Field(None, description="Goes into the history.")
    ticket: Annotated[str, Text(100)] | None = Field(None, description="Goes into the history.")


class RetireSpec(SpecObject):
    """What becomes of the legacy table."""

    keep_days: Annotated[int, Strict(), Field(ge=1, le=3650)] | None = Field(
        None, description="Days that the renamed table is kept at least; default 14."
    )
    approve_drop: Annotated[str, Text(63, trim=False)] | None = Field(
        None,
        description="status.retiredTable: drop that table when they are over. Any other name drops "
        "nothing.",
    )


class EventSourcingRolloutSpec(SpecObject):
    """One kind on its way from a mutable table to the event log, one phase at a time."""

    entity_kind: KindName = Field(description="The kind, such as Application.")
    target_phase: Phase = Field(
        description="A ceiling: raising it permits promotion, lowering it below the phase orders "
        "the way back, step by step."
    )
    transitions: Annotated[tuple[TransitionSpec, ...], Field(max_length=4)] = Field(
        (), description="What promotions need; a phase that is not named has the defaults."
    )
    rollback: RollbackSpec | None = Field(None, description="Automatic way back.")
    paused: Flag | None = Field(
        None, description="No transition starts, in either direction. Default false."
    )
    progress_deadline: Duration | None = Field(
        None,
        description="Stalled when criteria keep a promotion back for longer; default 336h. Nothing "
        "is rolled back for it, and waiting for people and windows does not count.",
    )
    parity: ParitySpec | None = Field(None, description="Comparison of legacy table and log.")
    prometheus: PrometheusSpec | None = Field(None, description="For criteria of metric PromQL.")
    approvals: Annotated[tuple[ApprovalSpec, ...], Field(max_length=20)] = Field(
        (), description="Given in Git; there are other ways, see the documentation."
    )
    retire: RetireSpec | None = Field(None, description="After the phase Retired was entered.")
