"""A structural schema as a flat list of fields, for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eatool.kube.schema.structural import JsonObject


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a schema.

    Attributes:
        path: camelCase, below the schema's root: ``rateLimits.burst``, ``conditions[].reason``.
        type: in words: ``text``, ``list of text``, ``date``.
        required: whether its parent must have it.
        legal: what the API server accepts beyond the type, in words; may be empty.
        description: one paragraph.

    """

    path: str
    type: str
    required: bool
    legal: str
    description: str


def fields_of(schema: JsonObject, prefix: str = "") -> Iterator[Field]:
    """Every field below ``schema``, parents before their children."""
    required = set(schema.get("required", ()))
    for name, child in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield Field(
            path=path,
            type=_type(child),
            required=name in required,
            legal="; ".join(_legal(child)),
            description=child.get("description", ""),
        )
        yield from fields_of(child, f"{path}.")
        if "items" in child:
            yield from fields_of(child["items"], f"{path}[].")


_TYPES = {"string": "text", "boolean": "true or false"}
_FORMATS = {"date": "date `YYYY-MM-DD`", "date-time": "timestamp `YYYY-MM-DDThh:mm:ssZ`"}


def _type(schema: JsonObject) -> str:
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map of text to {_type(schema['additionalProperties'])}"
    declared: str = schema["type"]
    return _FORMATS.get(schema.get("format", ""), _TYPES.get(declared, declared))


def _legal(schema: JsonObject) -> Iterator[str]:
    if "enum" in schema:
        yield ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "string":
        yield from (
            rule["message"].removeprefix("must be ")
            for rule in schema.get("x-kubernetes-validations", ())
        )
    if schema.get("format") not in _FORMATS:  # the type of a date says it all
        if "pattern" in schema:
            yield f"matches `{schema['pattern']}`"
        yield from _range(schema, "minLength", "maxLength", "characters")
    yield from _range(schema, "minItems", "maxItems", "items")
    yield from _range(schema, "minProperties", "maxProperties", "entries")
    yield from _range(schema, "minimum", "maximum", "")
    for inner in ("items", "additionalProperties"):
        if inner in schema and (texts := tuple(_legal(schema[inner]))):
            yield f"each: {', '.join(texts)}"


def _range(schema: JsonObject, low_key: str, high_key: str, unit: str) -> Iterator[str]:
    match schema.get(low_key), schema.get(high_key):
        case None, None:
            return
        case None, high:
            text = f"at most {high}"
        case low, None:
            text = f"at least {low}"
        case low, high:
            text = f"{low} to {high}"
    yield f"{text} {unit}".strip()
