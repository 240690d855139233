"""View: a diagram of some applications. A kind of these tests only, in this one file."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from eatool.domain.events import Created, Deleted, StateChanged, Updated
from eatool.domain.fields import LIST_MAX, EntityName, Name, Tags
from eatool.domain.kind import Column, EntityKind, EntitySpec, Ref
from eatool.domain.rules import UniqueKey
from eatool.domain.text import SetOf


class ViewSpec(EntitySpec):
    """A diagram of some applications."""

    name: Name = Field(description="Display name, unique in the namespace.")
    audience: Literal["architects", "management"] = Field(description="For whom it is drawn.")
    shows: Annotated[tuple[EntityName, ...], SetOf(LIST_MAX), Ref("application")] = Field(
        (), description="metadata.name of each Application that is drawn, a set."
    )
    tags: Tags = Field((), description="Labels for searching.")


class ViewCreated(Created[ViewSpec]):
    """The view is known from now on."""


class ViewUpdated(Updated[ViewSpec]):
    """Plain fields changed."""


class ViewAudienceChanged(StateChanged[ViewSpec]):
    """It is drawn for others."""

    field: ClassVar[str] = "audience"


class ViewDeleted(Deleted[ViewSpec]):
    """The view is gone."""


KIND = EntityKind(
    kind="View",
    plural="views",
    aggregate_type="view",
    path="views",
    short_names=("eaview",),
    description="A diagram of some applications.",
    archimate_element=None,
    layer="Application",
    spec=ViewSpec,
    events=get_args(ViewCreated | ViewUpdated | ViewAudienceChanged | ViewDeleted),
    columns=(Column("Audience", "audience"),),
    unique=(UniqueKey(label="name", fields=("name",), field="name", message="must be unique"),),
)
