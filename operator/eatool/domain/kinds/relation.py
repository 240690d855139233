"""Relation: a typed edge between two entities, with confidence and a validity window.

No two live relations with the same ends and type have overlapping windows (both ends included).
Each relation reserves two unique keys: the triple with the instant its window opens, and the triple
with the instant it closes, where "always" is an instant too. Windows that share one of them overlap
for certain, so of two racing relations without a window the store refuses one, whatever both
decisions saw, at no cost for relations between other ends. Windows that overlap without sharing an
end are found through the landscape; a relation that gets a window is refused by the store when any
relation of the namespace was created or rescheduled after the decision was based.

Left open: a *new* relation without a window does not carry that condition (a bulk import would
refuse itself). If one with both ends bounded, between the same entities, is recorded in the
milliseconds between its decision and its append, both stand; the next look at either warns.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, ClassVar, get_args

from pydantic import Field

from eatool.domain.enums import (
    ArchimateElement,
    ArchimateRelationship,
    Criticality,
    DataClassification,
    LineStyle,
    RelationEndpoint,
    RelationType,
)
from eatool.domain.errors import Code, FieldError
from eatool.domain.events import Created, Deleted, EntityEvent, StateChanged, Updated
from eatool.domain.fields import (
    Color,
    Confidence,
    EntityName,
    Flag,
    Name,
    OptionalText255,
    OptionalText2000,
    Timestamp,
)
from eatool.domain.identity import EntityRef
from eatool.domain.kind import CelRule, Column, Conflict, EntityKind, EntitySpec, Ref
from eatool.domain.landscape import Landscape, Request
from eatool.domain.relation_matrix import ELEMENTS, ROWS, in_words, legal_verbs, matrix_cel
from eatool.domain.rules import UniqueKey
from eatool.domain.uniqueness import held_by
from eatool.domain.windows import Window


class RelationSpec(EntitySpec):
    """A typed edge between two entities of the namespace."""

    source_type: RelationEndpoint = Field(description="Kind of the source. Immutable.")
    source_id: Annotated[EntityName, Ref(type_field="source_type")] = Field(
        description="metadata.name of the source. Immutable."
    )
    target_type: RelationEndpoint = Field(description="Kind of the target. Immutable.")
    target_id: Annotated[EntityName, Ref(type_field="target_type")] = Field(
        description="metadata.name of the target; not the source. Immutable."
    )
    relation_type: RelationType = Field(
        description="Verb from source to target, as far as the relation matrix allows. Immutable."
    )
    archimate_element: ArchimateElement | None = Field(
        None, description="ArchiMate element of the source; derived from sourceType when absent."
    )
    archimate_relationship: ArchimateRelationship | None = Field(
        None, description="ArchiMate relationship; derived from relationType when absent."
    )
    description: OptionalText2000 = Field(None, description="What the relation is about.")
    data_classification: DataClassification | None = Field(
        None, description="Sensitivity of what flows; the higher one of both ends when absent."
    )
    criticality: Criticality | None = Field(
        None, description="Business impact of its loss: low, medium, high or critical."
    )
    confidence: Confidence = Field(
        1.0, description="0.0 to 1.0: 1 verified, 0.8 discovered, 0.5 inferred, below needs review."
    )
    evidence_source: Name | None = Field(
        None, description="Where it is known from: cmdb, manual, id of a decision record, ..."
    )
    last_verified_at: Timestamp | None = Field(
        None, description="When somebody last made sure, UTC; not in the future."
    )
    effective_from: Timestamp | None = Field(
        None, description="Start of validity, UTC, included; absent for always."
    )
    effective_to: Timestamp | None = Field(
        None, description="End of validity, UTC, included; not before effectiveFrom."
    )
    label: OptionalText255 = Field(None, description="Text on the line when drawn.")
    color: Color | None = Field(None, description="Colour of the line, #RRGGBB.")
    style: LineStyle = Field(LineStyle.SOLID, description="solid or dashed.")
    bidirectional: Flag = Field(False, description="Whether it holds in both directions.")


class RelationCreated(Created[RelationSpec]):
    """The relation is known from now on."""


class RelationUpdated(Updated[RelationSpec]):
    """Plain fields changed: description, ArchiMate mapping, criticality, presentation."""


class RelationRescheduled(StateChanged[RelationSpec]):
    """The validity window changed, at either end."""

    field: ClassVar[str] = "effective_from"
    companions: ClassVar[tuple[str, ...]] = ("effective_to",)


class RelationConfidenceChanged(StateChanged[RelationSpec]):
    """Somebody verified it, found other evidence, or trusts it more or less."""

    field: ClassVar[str] = "confidence"
    companions: ClassVar[tuple[str, ...]] = ("evidence_source", "last_verified_at")


class RelationReclassified(StateChanged[RelationSpec]):
    """The sensitivity of what flows is judged differently."""

    field: ClassVar[str] = "data_classification"


class RelationDeleted(Deleted[RelationSpec]):
    """The relation is gone."""


RelationEvent = (
    RelationCreated
    | RelationUpdated
    | RelationRescheduled
    | RelationConfidenceChanged
    | RelationReclassified
    | RelationDeleted
)

_IDENTITY = ("source_type", "source_id", "relation_type", "target_type", "target_id")
_SELF_MESSAGE = "must not be the source itself"
_WINDOW_MESSAGE = "must not be before effectiveFrom"
_OVERLAP_MESSAGE = (
    "must not repeat a relation with the same ends and relationType at the same time (windows "
    "include both effectiveFrom and effectiveTo)"
)


def _ends_differ(spec: RelationSpec) -> Iterable[FieldError]:
    if (spec.source_type, spec.source_id) == (spec.target_type, spec.target_id):
        yield FieldError("spec.targetId", Code.SELF_RELATION, _SELF_MESSAGE)


def _in_matrix(spec: RelationSpec) -> Iterable[FieldError]:
    row = ROWS.get((spec.source_type, spec.relation_type, spec.target_type))
    if row is None:
        legal = ", ".join(legal_verbs(spec.source_type, spec.target_type))
        yield FieldError(
            "spec.relationType",
            Code.RELATION_NOT_ALLOWED,
            f"must be one of {legal} from {spec.source_type} to {spec.target_type}"
            if legal
            else f"no relation leads from {spec.source_type} to {spec.target_type}; "
            f"legal are {in_words()}",
        )
    elif spec.archimate_relationship not in (None, *row.archimate):
        yield FieldError(
            "spec.archimateRelationship",
            Code.ARCHIMATE_MISMATCH,
            f"must be {' or '.join(row.archimate)} for {spec.relation_type} from "
            f"{spec.source_type} to {spec.target_type}",
        )


def _window_opens_before_it_closes(spec: RelationSpec) -> Iterable[FieldError]:
    opens, closes = spec.effective_from, spec.effective_to
    if opens is not None and closes is not None and closes < opens:
        yield FieldError("spec.effectiveTo", Code.RANGE, _WINDOW_MESSAGE)


#: Clocks of CI runners and of the cluster differ a little.
_CLOCK_SKEW = timedelta(minutes=5)


def _not_verified_in_the_future(
    old: RelationSpec | None, new: RelationSpec, request: Request
) -> Iterable[FieldError]:
    verified = new.last_verified_at
    if verified is None or (old is not None and old.last_verified_at == verified):
        return
    if verified > request.now + _CLOCK_SKEW:
        yield FieldError("spec.lastVerifiedAt", Code.RANGE, "must not be in the future")


def _ends(ref: EntityRef, spec: RelationSpec) -> tuple[EntityRef, EntityRef]:
    return (
        EntityRef(spec.source_type.value, ref.namespace, spec.source_id),
        EntityRef(spec.target_type.value, ref.namespace, spec.target_id),
    )


def _windows_apart(ref: EntityRef, spec: RelationSpec, landscape: Landscape) -> Iterable[Conflict]:
    window = Window.of(spec.effective_from, spec.effective_to)
    source, target = _ends(ref, spec)
    for other, recorded in landscape.edges(source, spec.relation_type.value, target):
        taken = Window.of(recorded.get("effective_from"), recorded.get("effective_to"))
        if other != ref and window.overlaps(taken):
            yield held_by(other, "spec.targetId", _OVERLAP_MESSAGE)


def _guard(
    old: RelationSpec | None, new: RelationSpec
) -> tuple[type[EntityEvent[RelationSpec]], ...]:
    window = (new.effective_from, new.effective_to)
    if old is None:
        endangered = window != (None, None)
    else:
        endangered = window != (old.effective_from, old.effective_to)
    return (RelationCreated, RelationRescheduled) if endangered else ()


_BOTH_WAYS = frozenset({RelationType.COMMUNICATES_WITH, RelationType.CONNECTED_TO})


def _bidirectional_advised(spec: RelationSpec) -> Iterable[FieldError]:
    if spec.relation_type in _BOTH_WAYS and not spec.bidirectional:
        yield FieldError(
            "spec.bidirectional",
            Code.CONSTRAINT_VIOLATED,
            f"should be true for {spec.relation_type}",
        )


def _element_fits(spec: RelationSpec) -> Iterable[FieldError]:
    if spec.archimate_element not in (None, *ELEMENTS[spec.source_type]):
        yield FieldError(
            "spec.archimateElement",
            Code.ARCHIMATE_MISMATCH,
            f"should be {' or '.join(ELEMENTS[spec.source_type])} for {spec.source_type}",
        )


def _part_of_matches_parent(
    ref: EntityRef, spec: RelationSpec, landscape: Landscape
) -> Iterable[Conflict]:
    source, target = _ends(ref, spec)
    if spec.relation_type is RelationType.PART_OF and landscape.parent(source) != target:
        yield Conflict(
            FieldError(
                "spec.targetId",
                Code.CONSTRAINT_VIOLATED,
                "should be the parentId of the source: part_of describes that edge",
            ),
            frozenset({source}),
        )


def _with_archimate(spec: RelationSpec) -> RelationSpec:
    row = ROWS[spec.source_type, spec.relation_type, spec.target_type]
    return spec.model_copy(
        update={
            "archimate_element": spec.archimate_element or ELEMENTS[spec.source_type][0],
            "archimate_relationship": spec.archimate_relationship or row.archimate[0],
        }
    )


_CEL = (
    *matrix_cel(),
    CelRule(
        rule="self.sourceType != self.targetType || self.sourceId != self.targetId",
        message=f"targetId {_SELF_MESSAGE}",
        field_path=".targetId",
    ),
    CelRule(
        rule="!has(self.effectiveFrom) || !has(self.effectiveTo) || "
        "timestamp(self.effectiveFrom) <= timestamp(self.effectiveTo)",
        message=f"effectiveTo {_WINDOW_MESSAGE}",
        field_path=".effectiveTo",
    ),
)

_UNIQUE = tuple(
    UniqueKey(label=label, fields=(*_IDENTITY, bound), field="target_id", message=_OVERLAP_MESSAGE)
    for label, bound in (("opens", "effective_from"), ("closes", "effective_to"))
)

KIND = EntityKind(
    kind="Relation",
    plural="relations",
    aggregate_type="relation",
    path="relations",
    short_names=("rel",),
    description="A typed edge between two entities.",
    archimate_element=None,
    layer="Meta",
    spec=RelationSpec,
    events=get_args(RelationEvent),
    columns=(
        Column("Source", "source_id"),
        Column("Type", "relation_type"),
        Column("Target", "target_id"),
        Column("Confidence", "confidence", priority=1),
        Column("From", "effective_from", priority=1),
        Column("To", "effective_to", priority=1),
    ),
    unique=_UNIQUE,
    immutable=_IDENTITY,
    spec_rules=(_ends_differ, _in_matrix, _window_opens_before_it_closes),
    change_rules=(_not_verified_in_the_future,),
    landscape_rules=(_windows_apart,),
    guarded_by=_guard,
    warnings=(_bidirectional_advised, _element_fits),
    landscape_warnings=(_part_of_matches_parent,),
    own_cel=_CEL,
    derived=_with_archimate,
)
