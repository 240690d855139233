"""The frame of every CustomResourceDefinition: names, columns, rules, ``spec`` and ``status``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from eatool.domain.kind import CelRule
from eatool.kube.schema.structural import JsonObject, ordered, prose


@dataclass(frozen=True, slots=True)
class Definition:
    """What differs between one CRD and another.

    Attributes:
        short_names: what people type instead of ``plural``.
        category: what ``kubectl get`` lists it under.
        columns: ``additionalPrinterColumns``, in order.
        selectable: paths such as ``.spec.broker`` for ``--field-selector``, at most eight.
        schema: ``openAPIV3Schema`` of the whole object; see :func:`root_schema`.
        scope: whether an object belongs to a namespace.

    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    short_names: Sequence[str]
    category: str
    columns: Sequence[JsonObject]
    selectable: Sequence[str]
    schema: JsonObject
    scope: Literal["Namespaced", "Cluster"] = "Namespaced"

    @property
    def name(self) -> str:
        """``applications.eatool.io``."""
        return f"{self.plural}.{self.group}"

    def manifest(self) -> JsonObject:
        """The CRD as a JSON object, keys in reading order."""
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": self.name,
                "labels": {"app.kubernetes.io/part-of": "eatool-operator"},
            },
            "spec": {
                "group": self.group,
                "scope": self.scope,
                "names": {
                    "kind": self.kind,
                    "listKind": f"{self.kind}List",
                    "plural": self.plural,
                    "singular": self.singular,
                    "shortNames": list(self.short_names),
                    "categories": [self.category],
                },
                "versions": [
                    {
                        "name": self.version,
                        "served": True,
                        "storage": True,
                        "subresources": {"status": {}},
                        "additionalPrinterColumns": list(self.columns),
                        "selectableFields": [{"jsonPath": path} for path in self.selectable],
                        "schema": {"openAPIV3Schema": self.schema},
                    }
                ],
            },
        }


def root_schema(
    description: str,
    *,
    name_max: int,
    spec: JsonObject,
    status: JsonObject,
    rules: Sequence[CelRule] = (),
) -> JsonObject:
    """Schema of an object; ``rules`` may speak of ``self.metadata.name`` and ``self.spec``."""
    return ordered(
        {
            "description": prose(description),
            "type": "object",
            "required": ["spec"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {
                    "type": "object",
                    "properties": {"name": {"type": "string", "maxLength": name_max}},
                },
                "spec": spec,
                "status": status,
            },
            **validations(rules),
        }
    )


def validations(rules: Sequence[CelRule]) -> JsonObject:
    """The rules as schema keywords; nothing for no rules."""
    if not rules:
        return {}
    entries = []
    for rule in rules:
        entry = {"rule": rule.rule, "message": rule.message, "reason": "FieldValueInvalid"}
        if rule.field_path:
            entry["fieldPath"] = rule.field_path
        entries.append(entry)
    return {"x-kubernetes-validations": entries}
