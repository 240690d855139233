"""JSON Schema (draft-07) of what each event type carries as ``data``.

Derived from the declarations of the kinds, tightened to what is published: every field is there,
``null`` where it is not set. Text formats of manifests are told in words, not as patterns: they
are rules of writing, and rewording an equivalent pattern is no news to consumers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import getdoc
from typing import Any, Final

from eatool.domain.events import Created, Deleted, EntityEvent, JsonObject, StateChanged
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import event_types

#: AsyncAPI 3 schemas are a superset of this dialect, which every validator knows.
DIALECT: Final = "http://json-schema.org/draft-07/schema#"
#: Schema that all event schemas refer to, see :mod:`eatool.contract.envelopes`.
METADATA: Final = "EventMetadata"

#: Keywords taken over from pydantic as they are.
_COPIED: Final = (
    "type",
    "format",
    "enum",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "maxItems",
    "maxProperties",
)
#: ``pattern`` beside it says the same for machines; the text types of the domain add it.
_IN_WORDS: Final = "x-legal"
_KNOWN: Final = {
    *_COPIED,
    _IN_WORDS,
    "$ref",
    "additionalProperties",
    "anyOf",
    "default",
    "description",
    "items",
    "pattern",
    "properties",
    "required",
    "title",
}


def reference(name: str) -> JsonObject:
    """``$ref`` to another schema of this contract: relative, so that files beside each other work.

    :func:`eatool.contract.asyncapi.document` points it into the document instead.
    """
    return {"$ref": f"{name}.json"}


def event_schemas() -> dict[str, JsonObject]:
    """Schema of ``data`` by versioned type, for the newest version of every event type."""
    return {name: event_schema(kind, event) for name, (kind, event) in event_types().items()}


def event_schema(kind: EntityKind, event: type[EntityEvent[Any]]) -> JsonObject:
    """Schema of what one event type carries: ``entity``, ``changes`` and ``metadata``."""
    return {
        "$schema": DIALECT,
        "title": event.versioned_type(),
        "description": _first_line(event),
        "type": "object",
        "required": ["entity", "changes", "metadata"],
        "additionalProperties": False,
        "properties": {
            "entity": _entity(kind, words=True),
            "changes": _changes(kind, event),
            "metadata": reference(METADATA),
        },
    }


def _entity(kind: EntityKind, *, words: bool) -> JsonObject:
    """Schema of a snapshot, with or without descriptions."""
    declared = kind.spec.model_json_schema(mode="serialization", by_alias=False)
    return _published(declared, declared.get("$defs", {}), words=words)


def _changes(kind: EntityKind, event: type[EntityEvent[Any]]) -> JsonObject:
    """Schema of ``changes``: which fields this type can name, and what they can go from and to."""
    described = {
        "description": "Fields that changed, each with its value before and after.",
        "type": "object",
    }
    if issubclass(event, Deleted):
        return {**described, "additionalProperties": False, "maxProperties": 0}
    fields: Mapping[str, JsonObject] = _entity(kind, words=False)["properties"]
    names: tuple[str, ...]
    if issubclass(event, StateChanged):
        names = event.fields()
    elif issubclass(event, Created):
        names = tuple(fields)
    else:
        plain = (name for name in fields if name not in kind.marked)
        names = tuple(name for name in plain if name not in kind.immutable)
    first = issubclass(event, Created)
    return {
        **described,
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {name: _change(fields[name], first=first) for name in names},
    }


def _change(value: JsonObject, *, first: bool) -> JsonObject:
    return {
        "type": "object",
        "required": ["old", "new"],
        "additionalProperties": False,
        "properties": {"old": {"type": "null"} if first else value, "new": value},
    }


def _published(
    declared: Mapping[str, Any], shared: Mapping[str, Any], *, words: bool
) -> JsonObject:
    """One of pydantic's schemas as draft-07 without references, as it is published."""
    if unknown := set(declared) - _KNOWN - {"$defs"}:
        # Rather no document than one that leaves a rule out.
        raise NotImplementedError(f"JSON Schema keywords without a counterpart: {sorted(unknown)}")
    if "$ref" in declared:
        target = shared[declared["$ref"].rpartition("/")[2]]
        return _published({**target, **_without(declared, "$ref")}, shared, words=words)
    if "anyOf" in declared:
        (inner,) = (choice for choice in declared["anyOf"] if choice != {"type": "null"})
        schema = _published({**inner, **_without(declared, "anyOf")}, shared, words=words)
        return schema if declared.get("default", "") is None else _nullable(schema)
    schema = {key: declared[key] for key in _COPIED if key in declared}
    if words and (description := " ".join(_descriptions(declared))):
        schema = {"description": description, **schema}
    if declared.get("format") == "date-time":
        schema["pattern"] = declared["pattern"]  # UTC is a promise, not a rule of writing
    if "items" in declared:
        schema["items"] = _published(declared["items"], shared, words=words)
    if "properties" in declared:
        schema["required"] = sorted(declared["properties"])
        schema["properties"] = {
            name: _published(member, shared, words=words)
            for name, member in declared["properties"].items()
        }
    if "additionalProperties" in declared:
        others = declared["additionalProperties"]
        schema["additionalProperties"] = others and _published(others, shared, words=words)
    return _nullable(schema) if declared.get("default", "") is None else schema


def _nullable(schema: JsonObject) -> JsonObject:
    nullable = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable


def _descriptions(declared: Mapping[str, Any]) -> Iterator[str]:
    if "description" in declared:
        yield str(declared["description"]).replace("``", "`")
    if _IN_WORDS in declared:
        yield f"Format: {declared[_IN_WORDS]}."


def _without(declared: Mapping[str, Any], key: str) -> JsonObject:
    return {name: value for name, value in declared.items() if name != key}


def _first_line(event: type[EntityEvent[Any]]) -> str:
    return (getdoc(event) or "").partition("\n")[0]
