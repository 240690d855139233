"""The declaration of a kind. Everything else derives from it.

CRD, JSON codec, tables, topics and metric labels read :class:`EntityKind`; nothing outside
``domain/kinds/`` names a particular kind. A tenth kind is one more file there, and a revision that
creates its read table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel, to_pascal

from eatool.domain.errors import FieldError
from eatool.domain.events import Created, Deleted, EntityEvent, StateChanged, Updated
from eatool.domain.identity import EntityRef
from eatool.domain.landscape import Fact, Landscape, Request
from eatool.domain.rules import ApprovalRule, SharedKey, StateMachine, UniqueKey
from eatool.domain.timing import Timing
from eatool.domain.upcasting import Downcaster, Upcaster


class SpecObject(BaseModel):
    """Base of spec models and their parts: camelCase in manifests, snake_case everywhere else.

    Field types canonicalise while validating (trim, lower-case DNS names, de-duplicate and sort
    sets), so two specs mean the same exactly when their models are equal. ``null`` means the same
    as leaving the field out, everywhere.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            return {key: value for key, value in data.items() if value is not None}
        return data


class EntitySpec(SpecObject):
    """Base of the spec models of the kinds."""

    @classmethod
    def path_of(cls, snake: str) -> str:
        """``spec.parentId`` for ``parent_id``: how messages name a field to the user."""
        return f"spec.{to_camel(snake)}"


@dataclass(frozen=True, slots=True)
class Ref:
    """Marks a spec field (in ``Annotated``) as the name of another entity in the same namespace.

    Attributes:
        aggregate_type: what it points at; ``None`` when a sibling field says so.
        type_field: snake_case sibling that holds the aggregate type (Relation only).
        hard: must be recorded and alive before the change is accepted; a soft one only warns.
        parent: the edge of the kind's own hierarchy; loops are refused.
        literal_prefix: values that start with it are free text, not references (``team:``).

    """

    aggregate_type: str | None = None
    type_field: str | None = None
    hard: bool = True
    parent: bool = False
    literal_prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column of the CRD: heading and snake_case spec field."""

    title: str
    field: str
    priority: int = 0


@dataclass(frozen=True, slots=True)
class CelRule:
    """What the API server can check by itself, on ``spec`` (``self``, ``oldSelf``).

    ``message`` names the field and the legal values; ``field_path`` (``.parentId``) places it.
    """

    rule: str
    message: str
    field_path: str | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """A complaint about other entities; ``blocked_by`` are those whose change could heal it."""

    error: FieldError
    blocked_by: frozenset[EntityRef] = frozenset()


#: Cross-field rules of one spec.
SpecRule = Callable[[Any], Iterable[FieldError]]
#: Rules about moving from an accepted spec (``None`` = new) to a desired one.
ChangeRule = Callable[[Any, Any, Request], Iterable[FieldError]]
#: An accepted spec with the values that follow where it says nothing: self, spec.
Derivation = Callable[[EntityRef, Any, Landscape], Any]
#: What of other entities derived values and advice are made of: self, spec.
Dependencies = Callable[[EntityRef, Any], Iterable[Fact]]
#: What time alone changes about an accepted spec: spec, now.
Clockwork = Callable[[Any, datetime], Timing]
#: Rules about the rest of the registry that no declaration expresses: self, desired spec.
LandscapeRule = Callable[[EntityRef, Any, Landscape], Iterable[Conflict]]


@dataclass(frozen=True, slots=True, eq=False)
class EntityKind:
    """One kind of the registry.

    Attributes:
        kind, plural, short_names: as in the CRD.
        aggregate_type: first part of the stream id, entity label of metrics and topics.
        path: name of the collection; with ``-`` as ``_`` it is the table name.
        spec: the canonical spec model.
        events: every event class of the kind; exactly one Created, Updated and Deleted.
        columns: printer columns before Ready, Reason, Version and Age.
        unique: keys an entity holds, unique in its namespace; reserved in the append transaction.
        shared: keys that others may hold too, unless they clash; checked in the same place.
        immutable: snake_case fields fixed at creation; their CEL rules derive from this.
        state_machines: transitions that hold where ``Policy.strict_lifecycle`` is on.
        approvals: changes that need a reason or an approval where the policy asks for them.
        spec_rules, change_rules, landscape_rules: what the declarations above cannot say.
        warnings, landscape_warnings: advice that never blocks.
        own_cel: the part of the spec rules that the API server checks at ``kubectl apply``.
        upcasters: steps from older schema versions of its events to the next.
        downcasters: steps back, for consumers pinned to an older version; as far as declared.
        derived: fills in what follows from a spec, and from the entities it names, where it says
            nothing; shown, never recorded.
        depends_on: fields of other entities that ``derived`` and ``landscape_warnings`` read.
        timing: validity and advice that follow from the clock; shown, never recorded.

    """

    api_group: ClassVar[str] = "eatool.io"
    api_version: ClassVar[str] = "v1alpha1"

    kind: str
    plural: str
    aggregate_type: str
    path: str
    short_names: tuple[str, ...]
    description: str
    archimate_element: str | None
    layer: str
    spec: type[EntitySpec]
    events: tuple[type[EntityEvent[Any]], ...]
    columns: tuple[Column, ...]
    unique: tuple[UniqueKey, ...] = ()
    shared: tuple[SharedKey, ...] = ()
    immutable: tuple[str, ...] = ()
    state_machines: tuple[StateMachine, ...] = ()
    approvals: tuple[ApprovalRule, ...] = ()
    spec_rules: tuple[SpecRule, ...] = ()
    change_rules: tuple[ChangeRule, ...] = ()
    landscape_rules: tuple[LandscapeRule, ...] = ()
    warnings: tuple[SpecRule, ...] = ()
    landscape_warnings: tuple[LandscapeRule, ...] = ()
    own_cel: tuple[CelRule, ...] = ()
    upcasters: tuple[Upcaster, ...] = ()
    downcasters: tuple[Downcaster, ...] = ()
    derived: Derivation = lambda _ref, spec, _landscape: spec
    depends_on: Dependencies = lambda _ref, _spec: ()
    timing: Clockwork = lambda _spec, _now: Timing()
    references: Mapping[str, Ref] = field(init=False)
    marked: Mapping[str, type[StateChanged[Any]]] = field(init=False)

    def __post_init__(self) -> None:
        """Collect what is asked for at every decision once, and refuse a broken declaration."""
        references = {
            name: mark
            for name, info in self.spec.model_fields.items()
            for mark in info.metadata
            if isinstance(mark, Ref)
        }
        marked = {
            name: cls
            for cls in self.events
            if issubclass(cls, StateChanged)
            for name in cls.fields()
        }
        object.__setattr__(self, "references", references)
        object.__setattr__(self, "marked", marked)
        if self.kind != to_pascal(self.aggregate_type):
            raise TypeError(f"{self.kind} must be {self.aggregate_type} in PascalCase")
        for base in (Created, Updated, Deleted):
            if sum(issubclass(cls, base) for cls in self.events) != 1:
                raise TypeError(f"{self.kind} must declare exactly one {base.__name__} event")
        named = {*marked, *self.immutable, *(column.field for column in self.columns)}
        if unknown := named - set(self.spec.model_fields):
            raise TypeError(f"{self.kind} declares fields its spec does not have: {unknown}")

    @property
    def singular(self) -> str:
        """Singular resource name of the CRD."""
        return self.kind.lower()

    @property
    def table(self) -> str:
        """Name of the collection as a table of the registry that is migrated away from."""
        return self.path.replace("-", "_")

    @property
    def parent_field(self) -> str | None:
        """The field that makes the kind a hierarchy, if it is one."""
        return next((name for name, ref in self.references.items() if ref.parent), None)

    @property
    def cel(self) -> tuple[CelRule, ...]:
        """All rules for the API server: the immutable fields, then the kind's own."""
        return (
            *(
                CelRule(
                    rule=f"self.{to_camel(name)} == oldSelf.{to_camel(name)}",
                    message=f"{to_camel(name)} is immutable; delete and create the object instead",
                    field_path=f".{to_camel(name)}",
                )
                for name in self.immutable
            ),
            *self.own_cel,
        )

    def unique_keys(self, spec: EntitySpec) -> frozenset[str]:
        """Keys an entity with this spec holds in its namespace, already case-folded."""
        return frozenset(unique.key(spec) for unique in self.unique)

    def event_class(self, base: type[Created[Any] | Updated[Any] | Deleted[Any]]) -> Any:
        """The kind's own Created, Updated or Deleted class."""
        return next(cls for cls in self.events if issubclass(cls, base))

    def ref(self, namespace: str, name: str) -> EntityRef:
        """Reference to one entity of this kind."""
        return EntityRef(self.aggregate_type, namespace, name)
