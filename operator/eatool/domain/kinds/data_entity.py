"""DataEntity: a body of data with an owner, a sensitivity and a lineage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, get_args

from pydantic import Field

from eatool.domain.enums import Criticality, DataClassification
from eatool.domain.errors import Code, FieldError
from eatool.domain.events import Created, Deleted, StateChanged, Updated
from eatool.domain.fields import (
    LIST_MAX,
    EntityName,
    Flag,
    GlossaryTerms,
    Label100,
    Name,
    Retention,
)
from eatool.domain.kind import Column, EntityKind, EntitySpec, Ref
from eatool.domain.rules import ApprovalRule, UniqueKey
from eatool.domain.text import SetOf


class DataEntitySpec(EntitySpec):
    """A body of data the business knows by one name."""

    name: Name = Field(description="Display name, unique in its domain, ignoring letter case.")
    domain: Label100 | None = Field(None, description="Business domain, such as customer.")
    classification: DataClassification = Field(
        description="Sensitivity: public, internal, confidential or restricted."
    )
    retention: Retention | None = Field(
        None, description="How long it is kept: 7 years, 36 months, 90 days, ..."
    )
    owner: Name | None = Field(None, description="Accountable person or team, free text.")
    steward: Name | None = Field(None, description="Who looks after its quality, free text.")
    source_system: Name | None = Field(
        None, description="Where it is mastered, free text or the name of an Application."
    )
    criticality: Criticality = Field(
        description="Business impact of its loss: low, medium, high or critical."
    )
    pii_flag: Flag = Field(False, description="Whether it holds personal data.")
    glossary_terms: GlossaryTerms = Field((), description="Business terms it covers, a set.")
    lineage: Annotated[tuple[EntityName, ...], SetOf(LIST_MAX), Ref("data_entity", hard=False)] = (
        Field((), description="metadata.name of each DataEntity it is derived from, a set.")
    )


class DataEntityCreated(Created[DataEntitySpec]):
    """The data entity is known from now on."""


class DataEntityUpdated(Updated[DataEntitySpec]):
    """Plain fields changed: names, people, retention, criticality, glossary terms."""


class DataEntityReclassified(StateChanged[DataEntitySpec]):
    """Its sensitivity is judged differently."""

    field: ClassVar[str] = "classification"


class DataEntityPiiFlagChanged(StateChanged[DataEntitySpec]):
    """Whether it holds personal data is judged differently."""

    field: ClassVar[str] = "pii_flag"


class DataEntityLineageChanged(StateChanged[DataEntitySpec]):
    """It is derived from other data."""

    field: ClassVar[str] = "lineage"


class DataEntityDeleted(Deleted[DataEntitySpec]):
    """The data entity is gone."""


DataEntityEvent = (
    DataEntityCreated
    | DataEntityUpdated
    | DataEntityReclassified
    | DataEntityPiiFlagChanged
    | DataEntityLineageChanged
    | DataEntityDeleted
)


def _personal_data_is_confidential(spec: DataEntitySpec) -> Iterable[FieldError]:
    if spec.pii_flag and spec.classification.rank < DataClassification.CONFIDENTIAL.rank:
        yield FieldError(
            "spec.classification",
            Code.CONSTRAINT_VIOLATED,
            "should be confidential or restricted while piiFlag is true",
        )


def _lowered(old: DataClassification, new: DataClassification) -> bool:
    return new.rank < old.rank


KIND = EntityKind(
    kind="DataEntity",
    plural="dataentities",
    aggregate_type="data_entity",
    path="data-entities",
    short_names=("dent",),
    description="A body of data the business knows by one name.",
    archimate_element="DataObject",
    layer="Application",
    spec=DataEntitySpec,
    events=get_args(DataEntityEvent),
    columns=(
        Column("Title", "name"),
        Column("Domain", "domain"),
        Column("Classification", "classification"),
        Column("PII", "pii_flag", priority=1),
        Column("Owner", "owner", priority=1),
    ),
    unique=(
        UniqueKey(
            label="name",
            fields=("domain", "name"),
            field="name",
            message="must be unique among the data entities of one domain",
        ),
    ),
    approvals=(
        ApprovalRule("changing classification", field="classification", reason=True),
        ApprovalRule(
            "lowering classification", field="classification", approval=True, applies=_lowered
        ),
    ),
    warnings=(_personal_data_is_confidential,),
)
