"""From a manifest's ``spec`` to the canonical model, or to every complaint about it at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from eatool.domain.errors import Code, FieldError, SpecInvalid
from eatool.domain.kind import EntityKind, EntitySpec

#: pydantic's own error types; templates are filled from the error's context.
_MESSAGES = {
    "string_type": (Code.FORMAT, "must be a text"),
    "string_unicode": (Code.FORMAT, "must be valid Unicode text"),
    "bool_type": (Code.FORMAT, "must be true or false"),
    "int_type": (Code.FORMAT, "must be a whole number"),
    "float_type": (Code.FORMAT, "must be a number"),
    "tuple_type": (Code.FORMAT, "must be a list"),
    "dict_type": (Code.FORMAT, "must be a map"),
    "invalid_key": (Code.FORMAT, "must be named by a text"),
    "model_type": (Code.FORMAT, "must be an object"),
    "enum": (Code.FORMAT, "must be one of {expected}"),
    "finite_number": (Code.RANGE, "must be a finite number"),
    "greater_than_equal": (Code.RANGE, "must be at least {ge}"),
    "less_than_equal": (Code.RANGE, "must be at most {le}"),
}


def parse(kind: EntityKind, raw_spec: Mapping[str, Any]) -> EntitySpec:
    """Canonical spec of a manifest (camelCase keys only, unknown keys refused).

    Raises :class:`SpecInvalid` with every error found: those of single fields, and those between
    fields that are fine by themselves.
    """
    try:
        spec = kind.spec.model_validate(raw_spec, by_alias=True, by_name=False)
    except ValidationError as invalid:
        found = invalid.errors()
        fields = tuple(_translate(error, kind.spec) for error in found)
        illegal = {error["loc"][0] for error in found if error["loc"]}
        errors = (*fields, *_between_legal_fields(kind, raw_spec, illegal))
    else:
        errors = tuple(error for rule in kind.spec_rules for error in rule(spec))
        if not errors:
            return spec
    # Outside the handler: the original holds the refused values and must not reach a traceback.
    raise SpecInvalid(errors)


class _Illegal(Exception):
    """A rule asks for a field that is not legal by itself: it has nothing to say."""


class _LegalFields:
    """The part of a spec that is legal field by field, for the rules between fields."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> object:
        if name not in self._values:
            raise _Illegal
        return self._values[name]


@cache
def _adapters(model: type[EntitySpec]) -> Mapping[str, TypeAdapter[Any]]:
    """What validates each field by itself, by its name in the model."""
    return {
        name: TypeAdapter(info.rebuild_annotation()) for name, info in model.model_fields.items()
    }


def _between_legal_fields(
    kind: EntityKind, raw_spec: Mapping[str, Any], illegal: Collection[int | str]
) -> Iterator[FieldError]:
    values: dict[str, object] = {}
    for name, adapter in _adapters(kind.spec).items():
        info = kind.spec.model_fields[name]
        if info.alias in illegal:
            continue
        written = raw_spec.get(str(info.alias))
        values[name] = (
            info.default
            if written is None
            else adapter.validate_python(written, by_alias=True, by_name=False)
        )
    legal = _LegalFields(values)
    for rule in kind.spec_rules:
        try:
            yield from rule(legal)
        except _Illegal:
            continue


def _path(location: Sequence[int | str]) -> str:
    path = "spec"
    for step in location:
        if step != "[key]":
            path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path


def _translate(error: ErrorDetails, model: type[EntitySpec]) -> FieldError:
    kind = error["type"]
    if kind in Code.__members__:
        code, message = Code(kind), error["msg"]
    else:
        code, message = _standard(kind, error.get("ctx", {}), error["loc"], model)
    return FieldError(_path(error["loc"]), code, message)


def _standard(
    kind: str, context: Mapping[str, Any], location: Sequence[int | str], model: type[EntitySpec]
) -> tuple[Code, str]:
    if kind == "missing":
        return Code.REQUIRED, f"is required{_about(location, model)}"
    if kind == "extra_forbidden":
        return Code.FORMAT, f"is not a field of this kind{_legal(location, model)}"
    code, template = _MESSAGES.get(kind, (Code.FORMAT, "is not of the declared type"))
    return code, template.format_map(context)


def _about(location: Sequence[int | str], model: type[EntitySpec]) -> str:
    described = [
        info.description for info in model.model_fields.values() if (info.alias,) == tuple(location)
    ]
    return "".join(f": {text}" for text in described)


def _legal(location: Sequence[int | str], model: type[EntitySpec]) -> str:
    if len(location) > 1:
        return ""
    return "; legal are " + ", ".join(str(info.alias) for info in model.model_fields.values())
