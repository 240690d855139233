"""The CustomResourceDefinition of a kind."""

from __future__ import annotations

from typing import Any

from eatool.domain.fields import NAME_MAX
from eatool.domain.kind import CelRule, EntityKind
from eatool.kube.schema.definition import Definition, root_schema, validations
from eatool.kube.schema.status import status_schema
from eatool.kube.schema.structural import JsonObject, ordered, structural_schema

#: What ``kubectl get ea`` lists.
CATEGORY = "ea"

# The API server indexes at most this many fields of a version.
_MAX_SELECTABLE = 8

_COLUMN_TYPES = {"string", "integer", "number", "boolean"}
_SELECTABLE_TYPES = {"string", "integer", "boolean"}

_STATUS_COLUMNS: tuple[JsonObject, ...] = (
    {
        "name": "Ready",
        "type": "string",
        "description": "Whether the current spec is recorded.",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
    },
    {
        "name": "Reason",
        "type": "string",
        "description": "Why it is ready or not.",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].reason',
    },
    {
        "name": "Version",
        "type": "integer",
        "description": "Version of the entity's event stream.",
        "jsonPath": ".status.streamVersion",
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {
        "name": "Message",
        "type": "string",
        "description": "Why it is ready or not, for people.",
        "priority": 1,
        "jsonPath": '.status.conditions[?(@.type=="Ready")].message',
    },
)


def crd_name(kind: EntityKind) -> str:
    """``applications.eatool.io``."""
    return f"{kind.plural}.{kind.api_group}"


def custom_resource_definition(kind: EntityKind) -> JsonObject:
    """The CRD of ``kind`` as a JSON object, keys in reading order.

    Raises :class:`~eatool.kube.schema.structural.UnsupportedSchema` for a spec model that
    Kubernetes cannot express.
    """
    spec = spec_schema(kind)
    return Definition(
        group=kind.api_group,
        version=kind.api_version,
        kind=kind.kind,
        plural=kind.plural,
        singular=kind.singular,
        short_names=kind.short_names,
        category=CATEGORY,
        columns=_columns(kind, spec),
        selectable=_selectable(kind, spec),
        schema=root_schema(
            kind.description,
            name_max=NAME_MAX,
            spec=spec,
            status=status_schema(spec),
            rules=root_rules(kind),
        ),
    ).manifest()


def spec_schema(kind: EntityKind) -> JsonObject:
    """Structural schema of ``spec`` with the kind's CEL rules."""
    return ordered(structural_schema(kind.spec) | validations(kind.cel))


def root_rules(kind: EntityKind) -> tuple[CelRule, ...]:
    """Rules that need ``metadata.name``: no entity refers to itself."""
    rules = []
    for field, ref in kind.references.items():
        if ref.aggregate_type != kind.aggregate_type:
            continue
        path = kind.spec.path_of(field)
        is_list = _property(spec_schema(kind), path)["type"] == "array"
        rule = (
            f"!(self.metadata.name in self.{path})"
            if is_list
            else f"self.{path} != self.metadata.name"
        )
        rules.append(
            CelRule(
                f"!has(self.{path}) || {rule}",
                f"{path} must not name the {kind.kind} itself",
                f".{path}",
            )
        )
    return tuple(rules)


def _columns(kind: EntityKind, spec: JsonObject) -> list[JsonObject]:
    columns = []
    for column in kind.columns:
        path = kind.spec.path_of(column.field)
        declared = _property(spec, path)["type"]
        entry: JsonObject = {
            "name": column.title,
            # Lists are printed as JSON. Not ``date`` for timestamps: it prints an age.
            "type": declared if declared in _COLUMN_TYPES else "string",
            "jsonPath": f".{path}",
        }
        if column.priority:
            entry["priority"] = column.priority
        columns.append(entry)
    return [*columns, *(dict(column) for column in _STATUS_COLUMNS)]


def _selectable(kind: EntityKind, spec: JsonObject) -> list[str]:
    """Field selectors: what is worth a column is worth ``--field-selector spec.x=y``."""
    paths = [kind.spec.path_of(column.field) for column in kind.columns]
    paths = [path for path in paths if _property(spec, path)["type"] in _SELECTABLE_TYPES]
    return [f".{path}" for path in paths[:_MAX_SELECTABLE]]


def _property(spec: JsonObject, path: str) -> dict[str, Any]:
    property_: dict[str, Any] = spec["properties"][path.removeprefix("spec.")]
    return property_
