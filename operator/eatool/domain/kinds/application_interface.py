"""ApplicationInterface: where and how an application is reached."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, get_args

from pydantic import AfterValidator, Field

from eatool.domain.addresses import Endpoint, HttpUrl
from eatool.domain.enums import InterfaceStatus, Lifecycle
from eatool.domain.errors import Code, FieldError
from eatool.domain.events import Created, Deleted, StateChanged, Updated
from eatool.domain.fields import (
    LIST_MAX,
    Count,
    EntityName,
    Label50,
    Name,
    Protocol,
    Quotas,
    Tags,
    Version,
)
from eatool.domain.identity import EntityRef
from eatool.domain.kind import Column, Conflict, EntityKind, EntitySpec, Ref, SpecObject
from eatool.domain.landscape import Fact, Landscape
from eatool.domain.rules import StateMachine, UniqueKey
from eatool.domain.text import SetOf


class RateLimits(SpecObject):
    """How much the interface takes."""

    requests_per_second: Count | None = Field(None, description="Sustained requests per second.")
    burst: Count | None = Field(None, description="Requests at once above the sustained rate.")
    quotas: Quotas = Field(None, description="Named limits, such as per_day: 50000.")


def _nothing_is_absent(limits: RateLimits | None) -> RateLimits | None:
    return None if limits == RateLimits() else limits


class ApplicationInterfaceSpec(EntitySpec):
    """An address and a protocol through which an application is reached."""

    name: Name = Field(
        description="Display name, unique for one application and version, ignoring letter case."
    )
    protocol: Protocol = Field(description="Lower-case protocol: https, grpc, kafka, ...")
    endpoint: Endpoint = Field(
        description="scheme://address, or host[:port] (several separated by commas) with optional "
        "path. No credentials."
    )
    specification_url: HttpUrl | None = Field(
        None, description="http(s) URL of the OpenAPI, AsyncAPI or proto document."
    )
    version: Version | None = Field(None, description="Version of the contract: 2.3.0, v1.")
    authentication_method: Label50 | None = Field(
        None, description="How callers authenticate: oauth2, mtls, api-key, ..."
    )
    exposed_by_app_id: Annotated[EntityName, Ref("application")] = Field(
        description="metadata.name of the Application that exposes the interface."
    )
    serves_service_ids: Annotated[
        tuple[EntityName, ...], SetOf(LIST_MAX), Ref("application_service")
    ] = Field((), description="metadata.name of each ApplicationService it gives access to, a set.")
    rate_limits: Annotated[RateLimits | None, AfterValidator(_nothing_is_absent)] = Field(
        None, description="How much the interface takes."
    )
    status: InterfaceStatus = Field(description="active, deprecated or retired.")
    tags: Tags = Field((), description="Labels for searching, a set of at most 50.")


class ApplicationInterfaceCreated(Created[ApplicationInterfaceSpec]):
    """The interface is known from now on."""


class ApplicationInterfaceUpdated(Updated[ApplicationInterfaceSpec]):
    """Plain fields changed: everything but status, endpoint and version."""


class ApplicationInterfaceStatusChanged(StateChanged[ApplicationInterfaceSpec]):
    """The interface was deprecated, retired or taken back into service."""

    field: ClassVar[str] = "status"


class ApplicationInterfaceEndpointChanged(StateChanged[ApplicationInterfaceSpec]):
    """Callers must go elsewhere."""

    field: ClassVar[str] = "endpoint"


class ApplicationInterfaceVersionChanged(StateChanged[ApplicationInterfaceSpec]):
    """The contract has another version."""

    field: ClassVar[str] = "version"


class ApplicationInterfaceDeleted(Deleted[ApplicationInterfaceSpec]):
    """The interface is gone."""


ApplicationInterfaceEvent = (
    ApplicationInterfaceCreated
    | ApplicationInterfaceUpdated
    | ApplicationInterfaceStatusChanged
    | ApplicationInterfaceEndpointChanged
    | ApplicationInterfaceVersionChanged
    | ApplicationInterfaceDeleted
)


def _https_advised(spec: ApplicationInterfaceSpec) -> Iterable[FieldError]:
    if spec.specification_url is not None and spec.specification_url.lower().startswith("http:"):
        yield FieldError("spec.specificationUrl", Code.CONSTRAINT_VIOLATED, "should use https")


def _nobody_serves_it(
    ref: EntityRef, spec: ApplicationInterfaceSpec, landscape: Landscape
) -> Iterable[Conflict]:
    if spec.status is not InterfaceStatus.ACTIVE:
        return
    application = EntityRef("application", ref.namespace, spec.exposed_by_app_id)
    recorded = landscape.spec(application)
    if recorded is not None and recorded["lifecycle"] == Lifecycle.RETIRED:
        message = f"should not be active: {application.called}, which exposes it, is retired"
        error = FieldError("spec.status", Code.CONSTRAINT_VIOLATED, message)
        yield Conflict(error, frozenset({application}))


def _depends_on(ref: EntityRef, spec: ApplicationInterfaceSpec) -> Iterable[Fact]:
    if spec.status is InterfaceStatus.ACTIVE:
        yield Fact(EntityRef("application", ref.namespace, spec.exposed_by_app_id), "lifecycle")


KIND = EntityKind(
    kind="ApplicationInterface",
    plural="applicationinterfaces",
    aggregate_type="application_interface",
    path="application-interfaces",
    short_names=("appif",),
    description="An address and a protocol through which an application is reached.",
    archimate_element="ApplicationInterface",
    layer="Application",
    spec=ApplicationInterfaceSpec,
    events=get_args(ApplicationInterfaceEvent),
    columns=(
        Column("Title", "name"),
        Column("Application", "exposed_by_app_id"),
        Column("Protocol", "protocol"),
        Column("Status", "status"),
        Column("API Version", "version", priority=1),
    ),
    unique=(
        UniqueKey(
            label="name",
            fields=("exposed_by_app_id", "name", "version"),
            field="name",
            message="must be unique among the interfaces of one application with one version",
        ),
    ),
    state_machines=(
        StateMachine(
            field="status",
            transitions={
                InterfaceStatus.ACTIVE: frozenset(
                    {InterfaceStatus.DEPRECATED, InterfaceStatus.RETIRED}
                ),
                InterfaceStatus.DEPRECATED: frozenset({InterfaceStatus.RETIRED}),
                InterfaceStatus.RETIRED: frozenset(),
            },
            overrides={
                "reactivate": frozenset({(InterfaceStatus.DEPRECATED, InterfaceStatus.ACTIVE)})
            },
        ),
    ),
    warnings=(_https_advised,),
    landscape_warnings=(_nobody_serves_it,),
    depends_on=_depends_on,
)
