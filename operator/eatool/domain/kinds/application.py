"""Application: a software system with a life of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, get_args

from pydantic import Field

from eatool.domain.enums import Criticality, DataClassification, Lifecycle
from eatool.domain.errors import Code, FieldError
from eatool.domain.events import Created, Deleted, StateChanged, Updated
from eatool.domain.fields import Date, EntityName, Name, OptionalText2000, Tags
from eatool.domain.kind import CelRule, Column, EntityKind, EntitySpec, Ref
from eatool.domain.rules import ApprovalRule, StateMachine, UniqueKey


class ApplicationSpec(EntitySpec):
    """A software system that is planned, run or switched off as a whole."""

    name: Name = Field(description="Display name, unique in the namespace, ignoring letter case.")
    description: OptionalText2000 = Field(None, description="What the application is for.")
    owner: Name = Field(description="Responsible team or mailbox, free text.")
    lifecycle: Lifecycle = Field(description="planned, active, deprecated or retired.")
    sunset_date: Date | None = Field(
        None, description="Planned end, YYYY-MM-DD; only while deprecated or retired."
    )
    capability_id: Annotated[EntityName | None, Ref("business_capability")] = Field(
        None, description="metadata.name of the BusinessCapability the application supports."
    )
    data_classification: DataClassification = Field(
        description="Highest sensitivity of its data: public, internal, confidential, restricted."
    )
    criticality: Criticality | None = Field(
        None, description="Business impact of an outage: low, medium, high or critical."
    )
    tags: Tags = Field((), description="Labels for searching, a set of at most 50.")


class ApplicationCreated(Created[ApplicationSpec]):
    """The application is known from now on."""


class ApplicationUpdated(Updated[ApplicationSpec]):
    """Plain fields changed: name, description, sunset date, capability, tags."""


class ApplicationLifecycleChanged(StateChanged[ApplicationSpec]):
    """The application went from one lifecycle state to another."""

    field: ClassVar[str] = "lifecycle"


class ApplicationReclassified(StateChanged[ApplicationSpec]):
    """The sensitivity of its data is judged differently."""

    field: ClassVar[str] = "data_classification"


class ApplicationCriticalityChanged(StateChanged[ApplicationSpec]):
    """The business impact of an outage is judged differently."""

    field: ClassVar[str] = "criticality"


class ApplicationOwnerChanged(StateChanged[ApplicationSpec]):
    """Somebody else is responsible."""

    field: ClassVar[str] = "owner"


class ApplicationDeleted(Deleted[ApplicationSpec]):
    """The application is gone from the registry."""


ApplicationEvent = (
    ApplicationCreated
    | ApplicationUpdated
    | ApplicationLifecycleChanged
    | ApplicationReclassified
    | ApplicationCriticalityChanged
    | ApplicationOwnerChanged
    | ApplicationDeleted
)

_SUNSET_STATES = frozenset({Lifecycle.DEPRECATED, Lifecycle.RETIRED})
_SUNSET_MESSAGE = "is only allowed while lifecycle is deprecated or retired"


def _sunset_only_at_the_end(spec: ApplicationSpec) -> Iterable[FieldError]:
    if spec.sunset_date is not None and spec.lifecycle not in _SUNSET_STATES:
        yield FieldError("spec.sunsetDate", Code.CONSTRAINT_VIOLATED, _SUNSET_MESSAGE)


KIND = EntityKind(
    kind="Application",
    plural="applications",
    aggregate_type="application",
    path="applications",
    short_names=("eaapp",),
    description="A software system of the enterprise.",
    archimate_element="ApplicationComponent",
    layer="Application",
    spec=ApplicationSpec,
    events=get_args(ApplicationEvent),
    columns=(
        Column("Title", "name"),
        Column("Lifecycle", "lifecycle"),
        Column("Owner", "owner"),
        Column("Classification", "data_classification", priority=1),
        Column("Criticality", "criticality", priority=1),
    ),
    unique=(
        UniqueKey(
            label="name",
            fields=("name",),
            field="name",
            message="must be unique among the applications of the namespace",
        ),
    ),
    state_machines=(
        StateMachine(
            field="lifecycle",
            transitions={
                Lifecycle.PLANNED: frozenset({Lifecycle.ACTIVE, Lifecycle.RETIRED}),
                Lifecycle.ACTIVE: frozenset({Lifecycle.DEPRECATED, Lifecycle.RETIRED}),
                Lifecycle.DEPRECATED: frozenset({Lifecycle.RETIRED}),
                Lifecycle.RETIRED: frozenset(),
            },
            overrides={"reactivate": frozenset({(Lifecycle.DEPRECATED, Lifecycle.ACTIVE)})},
        ),
    ),
    approvals=(
        ApprovalRule("changing dataClassification", field="data_classification", reason=True),
        ApprovalRule("changing criticality", field="criticality", reason=True),
        ApprovalRule("deleting an Application", reason=True, approval=True),
    ),
    spec_rules=(_sunset_only_at_the_end,),
    own_cel=(
        CelRule(
            rule="!has(self.sunsetDate) || self.lifecycle in ['deprecated', 'retired']",
            message=f"sunsetDate {_SUNSET_MESSAGE}",
            field_path=".sunsetDate",
        ),
    ),
)
