"""Relation: a typed edge between two entities, with confidence and a validity window.

No two live relations with the same ends and type have overlapping windows (both ends included).
Relations with the same ends and type hold one shared key. Each decision compares its window with
those of the others, and the store records it only beside relations that the decision knew as they
are, so of two racing ones the later is decided anew, whichever windows they have. Relations between
other ends are not in each other's way: a bulk import never refuses itself.

A relation without a classification of its own has the highest one of its ends. It is shown, not
recorded: an end that is classified anew changes it without an event of the relation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
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
from eatool.domain.events import Created, Deleted, StateChanged, Updated
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
from eatool.domain.landscape import Fact, Landscape, Request
from eatool.domain.relation_matrix import ELEMENTS, ROWS, in_words, legal_verbs, matrix_cel
from eatool.domain.rules import SharedKey
from eatool.domain.timing import Timing
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


def _windows_overlap(spec: RelationSpec, other: Mapping[str, object]) -> bool:
    window = Window.of(spec.effective_from, spec.effective_to)
    return window.overlaps(Window.of(other["effective_from"], other["effective_to"]))


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


#: Where the kinds that are classified say how; the other ends add nothing.
_CLASSIFIED_IN = {
    RelationEndpoint.APPLICATION.value: "data_classification",
    RelationEndpoint.DATA_ENTITY.value: "classification",
}


def _classifications(ref: EntityRef, spec: RelationSpec) -> Iterable[Fact]:
    if spec.data_classification is None:
        for end in _ends(ref, spec):
            if field := _CLASSIFIED_IN.get(end.aggregate_type):
                yield Fact(end, field)


def _inherited(
    ref: EntityRef, spec: RelationSpec, landscape: Landscape
) -> DataClassification | None:
    recorded = ((landscape.spec(end), field) for end, field in _classifications(ref, spec))
    levels = [DataClassification(str(end[field])) for end, field in recorded if end is not None]
    return max(levels, key=lambda level: level.rank, default=None)


def _with_derived(ref: EntityRef, spec: RelationSpec, landscape: Landscape) -> RelationSpec:
    row = ROWS[spec.source_type, spec.relation_type, spec.target_type]
    return spec.model_copy(
        update={
            "archimate_element": spec.archimate_element or ELEMENTS[spec.source_type][0],
            "archimate_relationship": spec.archimate_relationship or row.archimate[0],
            "data_classification": spec.data_classification or _inherited(ref, spec, landscape),
        }
    )


#: After this time what somebody once made sure of is only what it used to be.
_STALE = timedelta(days=365)


def _timing(spec: RelationSpec, now: datetime) -> Timing:
    opens, closes, verified = spec.effective_from, spec.effective_to, spec.last_verified_at
    validity = None
    if opens is not None or closes is not None:
        validity = Window.of(opens, closes).validity(now)
    stale_at = None if verified is None else verified + _STALE
    advice = FieldError(
        "spec.lastVerifiedAt",
        Code.RANGE,
        f"is more than {_STALE.days} days ago: verify the relation again",
    )
    ahead = [each for each in (opens, closes, stale_at) if each is not None and each >= now]
    return Timing(
        validity,
        (advice,) if stale_at is not None and stale_at < now else (),
        min(ahead, default=None),
    )


def _depends_on(ref: EntityRef, spec: RelationSpec) -> Iterable[Fact]:
    yield from _classifications(ref, spec)
    if spec.relation_type is RelationType.PART_OF:
        yield Fact(_ends(ref, spec)[0], "parent_id")


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
    shared=(
        SharedKey(
            label="edge",
            fields=_IDENTITY,
            field="target_id",
            message=_OVERLAP_MESSAGE,
            clash=_windows_overlap,
        ),
    ),
    immutable=_IDENTITY,
    spec_rules=(_ends_differ, _in_matrix, _window_opens_before_it_closes),
    change_rules=(_not_verified_in_the_future,),
    warnings=(_bidirectional_advised, _element_fits),
    landscape_warnings=(_part_of_matches_parent,),
    own_cel=_CEL,
    derived=_with_derived,
    depends_on=_depends_on,
    timing=_timing,
)
