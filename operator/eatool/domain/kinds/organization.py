"""Organization: a company, division or team, in a hierarchy."""

from __future__ import annotations

from typing import Annotated, ClassVar, get_args

from pydantic import Field

from eatool.domain.addresses import Contacts, Domains
from eatool.domain.events import Created, Deleted, StateChanged, Updated
from eatool.domain.fields import EntityName, Name
from eatool.domain.kind import Column, EntityKind, EntitySpec, Ref
from eatool.domain.rules import ApprovalRule, UniqueKey


class OrganizationSpec(EntitySpec):
    """A company, division or team."""

    name: Name = Field(description="Display name, unique among siblings, ignoring letter case.")
    parent_id: Annotated[EntityName | None, Ref("organization", parent=True)] = Field(
        None, description="metadata.name of the parent Organization; absent for a root."
    )
    domains: Domains = Field((), description="DNS domains the organization owns, a set.")
    contacts: Contacts = Field(
        (),
        description="E-mail addresses, a set. Kept for years: use role mailboxes, not people.",
    )


class OrganizationCreated(Created[OrganizationSpec]):
    """The organization is known from now on."""


class OrganizationUpdated(Updated[OrganizationSpec]):
    """Domains or contacts changed."""


class OrganizationRenamed(StateChanged[OrganizationSpec]):
    """The display name changed."""

    field: ClassVar[str] = "name"


class OrganizationMoved(StateChanged[OrganizationSpec]):
    """The organization has another parent, or became a root."""

    field: ClassVar[str] = "parent_id"


class OrganizationDeleted(Deleted[OrganizationSpec]):
    """The organization is gone."""


OrganizationEvent = (
    OrganizationCreated
    | OrganizationUpdated
    | OrganizationRenamed
    | OrganizationMoved
    | OrganizationDeleted
)

KIND = EntityKind(
    kind="Organization",
    plural="organizations",
    aggregate_type="organization",
    path="organizations",
    short_names=("org",),
    description="A company, division or team of the enterprise.",
    archimate_element="BusinessActor",
    layer="Business",
    spec=OrganizationSpec,
    events=get_args(OrganizationEvent),
    columns=(Column("Title", "name"), Column("Parent", "parent_id")),
    unique=(
        UniqueKey(
            label="sibling",
            fields=("parent_id", "name"),
            field="name",
            message="must be unique among the organizations with the same parent",
        ),
    ),
    approvals=(ApprovalRule("deleting an Organization", reason=True),),
)
