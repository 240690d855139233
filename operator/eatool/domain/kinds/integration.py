"""Integration: data that flows from one application to another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, get_args

from pydantic import Field

from eatool.domain.enums import IntegrationProtocol
from eatool.domain.errors import Code, FieldError
from eatool.domain.events import Created, Deleted, StateChanged, Updated
from eatool.domain.fields import EntityName, Frequency, IntegrationSla, Label100, Tags
from eatool.domain.kind import CelRule, Column, EntityKind, EntitySpec, Ref


class IntegrationSpec(EntitySpec):
    """Data that flows from one application to another."""

    source_app_id: Annotated[EntityName, Ref("application")] = Field(
        description="metadata.name of the Application the data comes from."
    )
    target_app_id: Annotated[EntityName, Ref("application")] = Field(
        description="metadata.name of the Application the data goes to; not the source."
    )
    protocol: IntegrationProtocol = Field(description="How the data travels.")
    data_contract: Label100 | None = Field(None, description="Format: json, avro, ...")
    sla: IntegrationSla = Field(
        None,
        description="Service level; contains a percentage (99.9%), a time (200 ms), 24/7 or "
        "best-effort.",
    )
    frequency: Frequency | None = Field(
        None, description="real-time, streaming, hourly, daily, ..., or an interval such as 15m."
    )
    tags: Tags = Field((), description="Labels for searching, a set of at most 50.")


class IntegrationCreated(Created[IntegrationSpec]):
    """The integration is known from now on."""


class IntegrationUpdated(Updated[IntegrationSpec]):
    """Plain fields changed: data contract, service level, frequency, tags."""


class IntegrationRerouted(StateChanged[IntegrationSpec]):
    """The data comes from or goes to another application."""

    field: ClassVar[str] = "source_app_id"
    companions: ClassVar[tuple[str, ...]] = ("target_app_id",)


class IntegrationProtocolChanged(StateChanged[IntegrationSpec]):
    """The data travels another way."""

    field: ClassVar[str] = "protocol"


class IntegrationDeleted(Deleted[IntegrationSpec]):
    """The integration is gone."""


IntegrationEvent = (
    IntegrationCreated
    | IntegrationUpdated
    | IntegrationRerouted
    | IntegrationProtocolChanged
    | IntegrationDeleted
)

_ENDS_MESSAGE = "must name another Application than sourceAppId"


def _ends_differ(spec: IntegrationSpec) -> Iterable[FieldError]:
    if spec.source_app_id == spec.target_app_id:
        yield FieldError("spec.targetAppId", Code.SELF_RELATION, _ENDS_MESSAGE)


KIND = EntityKind(
    kind="Integration",
    plural="integrations",
    aggregate_type="integration",
    path="integrations",
    short_names=("integ",),
    description="Data that flows from one application to another.",
    archimate_element="ApplicationInteraction",
    layer="Application",
    spec=IntegrationSpec,
    events=get_args(IntegrationEvent),
    columns=(
        Column("Source", "source_app_id"),
        Column("Target", "target_app_id"),
        Column("Protocol", "protocol"),
        Column("Frequency", "frequency", priority=1),
    ),
    spec_rules=(_ends_differ,),
    own_cel=(
        CelRule(
            rule="self.sourceAppId != self.targetAppId",
            message=f"targetAppId {_ENDS_MESSAGE}",
            field_path=".targetAppId",
        ),
    ),
)
