"""``EventReplay``: send a part of the log to one broker again, under a topic prefix of its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict

from eatool.domain.fields import Flag, Timestamp
from eatool.domain.kind import CelRule, SpecObject
from eatool.domain.kinds import KINDS
from eatool.domain.text import SetOf, Text
from eatool.publishing.declared.broker import RateLimitSpec
from eatool.publishing.declared.fields import ResourceName, TopicPrefix
from eatool.publishing.declared.selection import SELECTION_CEL, SelectionSpec, one_of

StreamName = Annotated[
    str,
    Text(
        200,
        pattern=r"[a-z_]+/[a-z0-9-]+/[a-z0-9.-]+",
        legal="an entity as type/namespace/name, such as application/default/billing",
    ),
]
Position = Annotated[
    int, Strict(), Field(ge=0, le=2**53 - 1, json_schema_extra={"format": "int64"})
]


class RangeSpec(SpecObject):
    """A range of the log, by position or by time.

    An open end is the end of the log at the start of the replay.
    """

    after_position: Position | None = Field(None, description="Exclusive; 0 = the beginning.")
    to_position: Position | None = Field(None, description="Inclusive.")
    after_time: Timestamp | None = Field(None, description="Recorded after this time, UTC.")
    to_time: Timestamp | None = Field(None, description="Recorded at or before this time, UTC.")


class EventReplaySpec(SpecObject):
    """Events of the log that one broker is sent again; runs once, resumes after a crash."""

    broker: ResourceName = Field(description="EventBroker in the same namespace.")
    topic_prefix: TopicPrefix = Field(
        description="Levels before the broker's topics, such as replay/2026-11; keeps consumers of "
        "the live topics undisturbed."
    )
    range: RangeSpec | None = Field(None, description="The whole log when not given.")
    select: SelectionSpec | None = Field(None, description="Which events; all when not given.")
    streams: Annotated[tuple[StreamName, ...], SetOf(200)] = Field(
        (), description="Only these entities; all when empty."
    )
    rate_limit: RateLimitSpec | None = Field(None, description="None = as fast as it goes.")
    suspended: Flag | None = Field(None, description="Pause; it goes on where it was.")


#: Everything but pace and pause is fixed: another range is another replay.
REPLAY_CEL: tuple[CelRule, ...] = (
    CelRule("self.broker == oldSelf.broker", "broker is immutable", ".broker"),
    CelRule("self.topicPrefix == oldSelf.topicPrefix", "topicPrefix is immutable", ".topicPrefix"),
    *(
        CelRule(
            f"has(self.{name}) == has(oldSelf.{name}) && "
            f"(!has(self.{name}) || self.{name} == oldSelf.{name})",
            f"{name} is immutable; create another EventReplay",
            f".{name}",
        )
        for name in ("range", "select", "streams")
    ),
    CelRule(
        "!has(self.range) || !(has(self.range.afterPosition) && has(self.range.afterTime)) && "
        "!(has(self.range.toPosition) && has(self.range.toTime))",
        "range must give each end by position or by time, not by both",
        ".range",
    ),
    *(
        CelRule(
            "!has(self.range) || "
            f"!has(self.range.after{end}) || !has(self.range.to{end}) || "
            f"self.range.after{end} <= self.range.to{end}",
            f"range.after{end} must not be later than range.to{end}",
            ".range",
        )
        for end in ("Position", "Time")
    ),
    *SELECTION_CEL,
    CelRule(
        f"!has(self.streams) || self.streams.all(s, s.split('/')[0] in {one_of(KINDS)})",
        f"streams must begin with one of {', '.join(KINDS)}",
        ".streams",
    ),
)
