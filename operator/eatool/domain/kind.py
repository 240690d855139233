"""The declaration of a kind. Everything else derives from it.

CRD, JSON codec, tables, topics, metric labels and API routes read :class:`EntityKind`; nothing
outside ``domain/kinds/`` names a particular kind. A tenth kind is one more file there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from eatool.domain.errors import FieldError
from eatool.domain.events import Created, Deleted, EntityEvent, StateChanged, Updated
from eatool.domain.identity import EntityRef
from eatool.domain.landscape import Request


class EntitySpec(BaseModel):
    """Base of the nine spec models: camelCase in manifests, snake_case everywhere else.

    Field types canonicalise while validating (trim, lower-case DNS names, de-duplicate and sort
    sets), so two specs mean the same exactly when their models are equal.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        str_strip_whitespace=True,
    )

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


#: Cross-field rules of one spec.
SpecRule = Callable[[Any], Iterable[FieldError]]
#: Rules about moving from an accepted spec to a desired one (state machines, immutability).
ChangeRule = Callable[[Any, Any, Request], Iterable[FieldError]]


@dataclass(frozen=True, slots=True)
class EntityKind:
    """One kind of the registry.

    Attributes:
        kind, plural, short_names: as in the CRD.
        aggregate_type: first part of the stream id, entity label of metrics and topics.
        path: HTTP collection; with ``-`` as ``_`` it is the table name.
        spec: the canonical spec model.
        events: every event class of the kind; exactly one Created, Updated and Deleted.
        columns: printer columns before Ready, Reason, Version and Age.
        unique_keys: keys an entity with this spec holds, unique in its namespace (already
            case-folded); they are reserved in the append transaction.
        spec_rules, change_rules: what pydantic cannot say about one field alone.
        warnings: advice that never blocks.
        cel: the part of the rules that the API server checks at ``kubectl apply``.

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
    unique_keys: Callable[[Any], frozenset[str]] = lambda _spec: frozenset()
    spec_rules: tuple[SpecRule, ...] = ()
    change_rules: tuple[ChangeRule, ...] = ()
    warnings: tuple[SpecRule, ...] = ()
    cel: tuple[CelRule, ...] = ()
    references: Mapping[str, Ref] = field(init=False)

    def __post_init__(self) -> None:
        """Collect the reference fields once."""
        object.__setattr__(
            self,
            "references",
            {
                name: mark
                for name, info in self.spec.model_fields.items()
                for mark in info.metadata
                if isinstance(mark, Ref)
            },
        )

    @property
    def singular(self) -> str:
        """Singular resource name of the CRD."""
        return self.kind.lower()

    @property
    def table(self) -> str:
        """Name of the read table."""
        return self.path.replace("-", "_")

    @property
    def parent_field(self) -> str | None:
        """The field that makes the kind a hierarchy, if it is one."""
        return next((name for name, ref in self.references.items() if ref.parent), None)

    @property
    def marked(self) -> Mapping[str, type[StateChanged[Any]]]:
        """Fields with an event of their own."""
        return {cls.field: cls for cls in self.events if issubclass(cls, StateChanged)}

    def event_class(self, base: type[Created[Any] | Updated[Any] | Deleted[Any]]) -> Any:
        """The kind's own Created, Updated or Deleted class."""
        return next(cls for cls in self.events if issubclass(cls, base))

    def ref(self, namespace: str, name: str) -> EntityRef:
        """Reference to one entity of this kind."""
        return EntityRef(self.aggregate_type, namespace, name)
