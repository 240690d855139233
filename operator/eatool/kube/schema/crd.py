"""The CustomResourceDefinition of a kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eatool.domain.fields import NAME_MAX
from eatool.domain.kind import CelRule, EntityKind
from eatool.kube.schema.status import status_schema
from eatool.kube.schema.structural import JsonObject, ordered, prose, structural_schema

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
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": crd_name(kind),
            "labels": {"app.kubernetes.io/part-of": "eatool-operator"},
        },
        "spec": {
            "group": kind.api_group,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short_names),
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": kind.api_version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(kind, spec),
                    "selectableFields": _selectable(kind, spec),
                    "schema": {"openAPIV3Schema": _root_schema(kind, spec)},
                }
            ],
        },
    }


def spec_schema(kind: EntityKind) -> JsonObject:
    """Structural schema of ``spec`` with the kind's CEL rules."""
    return ordered(structural_schema(kind.spec) | _validations(kind.cel))


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


def _root_schema(kind: EntityKind, spec: JsonObject) -> JsonObject:
    text = prose(kind.description)
    return ordered(
        {
            "description": text,
            "type": "object",
            "required": ["spec"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {
                    "type": "object",
                    "properties": {"name": {"type": "string", "maxLength": NAME_MAX}},
                },
                "spec": spec,
                "status": status_schema(spec),
            },
            **_validations(root_rules(kind)),
        }
    )


def _validations(rules: Sequence[CelRule]) -> JsonObject:
    if not rules:
        return {}
    entries = []
    for rule in rules:
        entry = {"rule": rule.rule, "message": rule.message, "reason": "FieldValueInvalid"}
        if rule.field_path:
            entry["fieldPath"] = rule.field_path
        entries.append(entry)
    return {"x-kubernetes-validations": entries}


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


def _selectable(kind: EntityKind, spec: JsonObject) -> list[JsonObject]:
    """Field selectors: what is worth a column is worth ``--field-selector spec.x=y``."""
    paths = [kind.spec.path_of(column.field) for column in kind.columns]
    paths = [path for path in paths if _property(spec, path)["type"] in _SELECTABLE_TYPES]
    return [{"jsonPath": f".{path}"} for path in paths[:_MAX_SELECTABLE]]


def _property(spec: JsonObject, path: str) -> dict[str, Any]:
    property_: dict[str, Any] = spec["properties"][path.removeprefix("spec.")]
    return property_
