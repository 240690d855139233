"""Server: a machine, virtual or not, that applications run on."""

from __future__ import annotations

from typing import ClassVar, get_args

from pydantic import Field

from eatool.domain.addresses import Hostname
from eatool.domain.enums import Criticality, Environment
from eatool.domain.events import Created, Deleted, StateChanged, Updated
from eatool.domain.fields import Label50, Label100, Name, Tags
from eatool.domain.kind import Column, EntityKind, EntitySpec
from eatool.domain.rules import SharedKey


class ServerSpec(EntitySpec):
    """A machine, cluster or device that applications run on."""

    hostname: Hostname = Field(description="Host name; no IP address.")
    environment: Environment = Field(description="dev, staging or prod.")
    region: Label100 | None = Field(None, description="Cloud region or data centre.")
    platform: Label50 | None = Field(None, description="linux, windows, kubernetes, ...")
    criticality: Criticality = Field(
        description="Business impact of an outage: low, medium, high or critical."
    )
    owning_team: Name | None = Field(None, description="Responsible team, free text.")
    tags: Tags = Field((), description="Labels for searching, a set of at most 50.")


class ServerCreated(Created[ServerSpec]):
    """The server is known from now on."""


class ServerUpdated(Updated[ServerSpec]):
    """Plain fields changed: host name, region, platform, owning team, tags."""


class ServerEnvironmentChanged(StateChanged[ServerSpec]):
    """The server serves another stage."""

    field: ClassVar[str] = "environment"


class ServerCriticalityChanged(StateChanged[ServerSpec]):
    """The business impact of an outage is judged differently."""

    field: ClassVar[str] = "criticality"


class ServerDeleted(Deleted[ServerSpec]):
    """The server is gone."""


ServerEvent = (
    ServerCreated
    | ServerUpdated
    | ServerEnvironmentChanged
    | ServerCriticalityChanged
    | ServerDeleted
)

KIND = EntityKind(
    kind="Server",
    plural="servers",
    aggregate_type="server",
    path="servers",
    short_names=("srv",),
    description="A machine, cluster or device that applications run on.",
    archimate_element="Node",
    layer="Technology",
    spec=ServerSpec,
    events=get_args(ServerEvent),
    columns=(
        Column("Hostname", "hostname"),
        Column("Environment", "environment"),
        Column("Criticality", "criticality"),
        Column("Region", "region", priority=1),
    ),
    shared=(
        SharedKey(
            label="host",
            fields=("environment", "hostname"),
            field="hostname",
            message="should be unique among the servers of one environment",
            advisory=True,
        ),
    ),
)
