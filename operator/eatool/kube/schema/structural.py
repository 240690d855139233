"""Pydantic's JSON Schema as a Kubernetes structural schema.

The two dialects differ: Kubernetes has no references, no unions, no null type and boolean
exclusive bounds. Whatever has no counterpart is an error here rather than silently lost: a rule
that users read in the model but that nobody enforces is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

JsonObject = dict[str, Any]

#: Reading order of a generated schema; anything else would be a bug in this module.
_ORDER = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)

#: What a pattern means in words; the domain's text types may add it to their JSON schema.
LEGAL_KEYWORD = "x-legal"

_COPIED = (
    "type",
    "enum",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)

# ``default``: the operator applies defaults and shows them in ``status.effective``; in the schema
# they would appear in every live object and make GitOps tools report drift. ``uniqueItems`` is
# forbidden in CRDs, and a repeated item of a set means nothing to the domain. ``examples`` go into
# the reference pages. ``additionalProperties: false`` is what the API server does with unknown
# fields anyway (refused by strict field validation, kubectl's default, or pruned).
_DROPPED = {"$defs", "title", "default", "uniqueItems", "examples"}

_UNDERSTOOD = {
    *_COPIED,
    *_DROPPED,
    "description",
    "const",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "format",
    "pattern",
    LEGAL_KEYWORD,
    "properties",
    "required",
    "additionalProperties",
    "items",
}

#: The formats kube-apiserver validates, as far as a spec can need them.
_FORMATS = {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"}

# kube-apiserver compiles patterns with Go's RE2: no look-around, atomic groups, back-references.
_NOT_RE2 = re.compile(r"\(\?(?:[=!>]|<[=!]|P=)|\\[1-9Z]")


class UnsupportedSchema(Exception):
    """A model says something that a structural schema cannot express."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


def structural_schema(model: type[BaseModel], path: str = "spec") -> JsonObject:
    """The structural schema of a model's JSON form (by alias), without any default.

    ``path`` is where the model sits in the manifest; :class:`UnsupportedSchema` names it.
    """
    source = model.model_json_schema(by_alias=True, mode="validation")
    return _Translation(source.get("$defs", {})).node(source, path)


def ordered(schema: Mapping[str, Any]) -> JsonObject:
    """``schema`` with its own keywords in reading order; nested schemas are left as they are."""
    return {key: schema[key] for key in sorted(schema, key=_ORDER.index)}


def prose(text: str) -> str:
    """A docstring as one plain paragraph: how ``kubectl explain`` shows descriptions best."""
    return " ".join(text.replace("``", "`").split())


class _Translation:
    def __init__(self, definitions: Mapping[str, JsonObject]) -> None:
        self._definitions = definitions

    def node(self, source: Mapping[str, Any], path: str) -> JsonObject:
        source = self._resolved(source, path)
        if unknown := source.keys() - _UNDERSTOOD:
            raise UnsupportedSchema(path, f"no structural counterpart of {', '.join(unknown)}")
        if "type" not in source and "const" not in source:
            raise UnsupportedSchema(path, "has no single type")
        result = {keyword: source[keyword] for keyword in _COPIED if keyword in source}
        result |= _value_rules(source, path) | self._children(source, path)
        if result["type"] == "integer":
            result["format"] = "int64"
        return ordered(result)

    def _resolved(self, source: Mapping[str, Any], path: str) -> JsonObject:
        """Inline references and optional-ness; what stands beside them wins."""
        result = dict(source)
        while True:
            if "$ref" in result:
                target = self._definitions[result.pop("$ref").removeprefix("#/$defs/")]
            elif "anyOf" in result or "allOf" in result:
                branches = result.pop("anyOf", None) or result.pop("allOf")
                branches = [branch for branch in branches if branch != {"type": "null"}]
                if len(branches) != 1:
                    raise UnsupportedSchema(path, "may have several types")
                (target,) = branches
            else:
                return result
            result = {**target, **result}

    def _children(self, source: JsonObject, path: str) -> JsonObject:
        result: JsonObject = {}
        if properties := source.get("properties"):
            result["properties"] = {
                name: self.node(child, f"{path}.{name}") for name, child in properties.items()
            }
        if required := source.get("required"):
            result["required"] = required
        values = source.get("additionalProperties", False)
        if values is True:
            raise UnsupportedSchema(path, "map without a type of its values")
        if values is not False:
            result["additionalProperties"] = self.node(values, f"{path}[*]")
        if source.get("type") == "array":
            if "items" not in source:
                raise UnsupportedSchema(path, "list without a type of its items")
            result["items"] = self.node(source["items"], f"{path}[*]")
            # Not ``set``: that type refuses duplicates, which the registry reads as one item; and
            # with several appliers it merges their items, so one removed from Git would stay.
            # An atomic list has one owner and is in the cluster exactly as it is in Git.
            result["x-kubernetes-list-type"] = "atomic"
        return result


def _value_rules(source: JsonObject, path: str) -> JsonObject:
    """What is not the same word in both dialects."""
    result: JsonObject = {}
    if "description" in source:
        result["description"] = prose(source["description"])
    if "const" in source:
        result |= {"type": "string", "enum": [source["const"]]}
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if exclusive in source:
            result |= {bound: source[exclusive], exclusive: True}
    if (format_ := source.get("format")) in _FORMATS:
        result["format"] = format_
    elif format_ not in (None, "int64"):
        raise UnsupportedSchema(path, f"format {format_!r} is not checked by Kubernetes")
    if "pattern" in source:
        result |= _pattern(source, path)
    return result


def _pattern(source: JsonObject, path: str) -> JsonObject:
    pattern: str = source["pattern"]
    if found := _NOT_RE2.search(pattern):
        raise UnsupportedSchema(path, f"pattern has {found.group()!r}, RE2 has not")
    legal = source.get(LEGAL_KEYWORD)
    if legal is None or "format" in source:  # a date is no text to CEL
        return {"pattern": pattern}
    # As a CEL rule, because its message can say what is legal; the message of ``pattern`` is the
    # expression itself, which nobody reads.
    escaped = pattern.replace("\\", "\\\\").replace("'", "\\'")
    rule = {
        "rule": f"self.matches('{escaped}')",
        "message": f"must be {legal}",
        "reason": "FieldValueInvalid",
    }
    return {"x-kubernetes-validations": [rule]}
