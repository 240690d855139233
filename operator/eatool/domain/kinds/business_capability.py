"""BusinessCapability: what the enterprise is able to do, in a hierarchy."""

from __future__ import annotations

from typing import Annotated, ClassVar, get_args

from pydantic import Field

from eatool.domain.events import Created, Deleted, StateChanged, Updated
from eatool.domain.fields import EntityName, Name, OptionalText2000
from eatool.domain.kind import Column, EntityKind, EntitySpec, Ref
from eatool.domain.rules import UniqueKey


class BusinessCapabilitySpec(EntitySpec):
    """Something the enterprise is able to do, independent of who does it and how."""

    name: Name = Field(description="Display name, unique among siblings, ignoring letter case.")
    parent_id: Annotated[EntityName | None, Ref("business_capability", parent=True)] = Field(
        None, description="metadata.name of the parent BusinessCapability; absent for a root."
    )
    description: OptionalText2000 = Field(None, description="What the capability covers.")


class BusinessCapabilityCreated(Created[BusinessCapabilitySpec]):
    """The capability is known from now on."""


class BusinessCapabilityUpdated(Updated[BusinessCapabilitySpec]):
    """The description changed."""


class BusinessCapabilityRenamed(StateChanged[BusinessCapabilitySpec]):
    """The display name changed."""

    field: ClassVar[str] = "name"


class BusinessCapabilityMoved(StateChanged[BusinessCapabilitySpec]):
    """The capability has another parent, or became a root."""

    field: ClassVar[str] = "parent_id"


class BusinessCapabilityDeleted(Deleted[BusinessCapabilitySpec]):
    """The capability is gone."""


BusinessCapabilityEvent = (
    BusinessCapabilityCreated
    | BusinessCapabilityUpdated
    | BusinessCapabilityRenamed
    | BusinessCapabilityMoved
    | BusinessCapabilityDeleted
)

KIND = EntityKind(
    kind="BusinessCapability",
    plural="businesscapabilities",
    aggregate_type="business_capability",
    path="business-capabilities",
    short_names=("cap",),
    description="Something the enterprise is able to do.",
    archimate_element="BusinessFunction",
    layer="Business",
    spec=BusinessCapabilitySpec,
    events=get_args(BusinessCapabilityEvent),
    columns=(Column("Title", "name"), Column("Parent", "parent_id")),
    unique=(
        UniqueKey(
            label="sibling",
            fields=("parent_id", "name"),
            field="name",
            message="must be unique among the capabilities with the same parent",
        ),
    ),
)
