"""ApplicationService: behaviour that applications offer to others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, get_args

from pydantic import Field

from eatool.domain.errors import Code, FieldError
from eatool.domain.events import Created, Deleted, StateChanged, Updated
from eatool.domain.fields import (
    LIST_MAX,
    TEAM_PREFIX,
    Consumer,
    EntityName,
    Name,
    OptionalText500,
    OptionalText2000,
    Tags,
)
from eatool.domain.kind import Column, EntityKind, EntitySpec, Ref
from eatool.domain.rules import UniqueKey
from eatool.domain.text import SetOf


class ApplicationServiceSpec(EntitySpec):
    """Behaviour that one or more applications offer to others."""

    name: Name = Field(description="Display name, unique in the namespace, ignoring letter case.")
    description: OptionalText2000 = Field(None, description="What the service does.")
    business_capability_id: Annotated[EntityName | None, Ref("business_capability")] = Field(
        None, description="metadata.name of the BusinessCapability the service realizes."
    )
    sla: OptionalText500 = Field(None, description="Promised service level, free text.")
    exposed_by_app_ids: Annotated[tuple[EntityName, ...], SetOf(LIST_MAX), Ref("application")] = (
        Field((), description="metadata.name of each Application that realizes it, a set.")
    )
    consumers: Annotated[
        tuple[Consumer, ...],
        SetOf(LIST_MAX),
        Ref("application", hard=False, literal_prefix=TEAM_PREFIX),
    ] = Field(
        (), description="Who uses it, a set: metadata.name of an Application, or team:<name>."
    )
    tags: Tags = Field((), description="Labels for searching, a set of at most 50.")


class ApplicationServiceCreated(Created[ApplicationServiceSpec]):
    """The service is known from now on."""


class ApplicationServiceUpdated(Updated[ApplicationServiceSpec]):
    """Plain fields changed: name, description, service level, capability, tags."""


class ApplicationServiceExposureChanged(StateChanged[ApplicationServiceSpec]):
    """Other applications realize the service."""

    field: ClassVar[str] = "exposed_by_app_ids"


class ApplicationServiceConsumersChanged(StateChanged[ApplicationServiceSpec]):
    """Somebody started or stopped using the service."""

    field: ClassVar[str] = "consumers"


class ApplicationServiceDeleted(Deleted[ApplicationServiceSpec]):
    """The service is gone."""


ApplicationServiceEvent = (
    ApplicationServiceCreated
    | ApplicationServiceUpdated
    | ApplicationServiceExposureChanged
    | ApplicationServiceConsumersChanged
    | ApplicationServiceDeleted
)


def _somebody_realizes_it(spec: ApplicationServiceSpec) -> Iterable[FieldError]:
    if not spec.exposed_by_app_ids:
        yield FieldError(
            "spec.exposedByAppIds",
            Code.CONSTRAINT_VIOLATED,
            "should name at least one Application that realizes the service",
        )


KIND = EntityKind(
    kind="ApplicationService",
    plural="applicationservices",
    aggregate_type="application_service",
    path="application-services",
    short_names=("appsvc",),
    description="Behaviour that applications offer to others.",
    archimate_element="ApplicationService",
    layer="Application",
    spec=ApplicationServiceSpec,
    events=get_args(ApplicationServiceEvent),
    columns=(
        Column("Title", "name"),
        Column("Capability", "business_capability_id"),
        Column("SLA", "sla", priority=1),
    ),
    unique=(
        UniqueKey(
            label="name",
            fields=("name",),
            field="name",
            message="must be unique among the application services of the namespace",
        ),
    ),
    warnings=(_somebody_realizes_it,),
)
