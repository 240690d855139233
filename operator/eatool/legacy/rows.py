"""From a row of the registry to a spec, and what tells whether two records mean the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args

import orjson
from pydantic import BaseModel
from pydantic.alias_generators import to_snake
from sqlalchemy import Boolean, Date

from eatool.domain.errors import Code, FieldError
from eatool.domain.fields import NAME_MAX
from eatool.domain.kind import EntityKind, EntitySpec
from eatool.domain.parsing import parse
from eatool.legacy.tables import LEGACY_TABLES, JsonText
from eatool.store.sql.schema import UtcDateTime

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def name_complaint(row_id: str | None) -> FieldError | None:
    """Why no object in a cluster can be called like this row; ``None`` when one can."""
    if row_id is None:
        return FieldError("metadata.name", Code.REQUIRED, "is required")
    if len(row_id) > NAME_MAX:
        return FieldError("metadata.name", Code.RANGE, f"must be at most {NAME_MAX} characters")
    if not _NAME.fullmatch(row_id):
        legal = "lower-case letters, digits and inner '-' and '.'"
        return FieldError("metadata.name", Code.FORMAT, f"must be the name of an object: {legal}")
    return None


def column_of(path: str) -> str:
    """The column a complaint is about: ``rate_limits.burst`` for ``spec.rateLimits.burst``."""
    if path == "metadata.name":
        return "id"
    return ".".join(to_snake(part) for part in path.removeprefix("spec.").split("."))


def told_of_json(kind: EntityKind, raw: Mapping[str, Any], error: FieldError) -> FieldError:
    """The same, and that it has to be JSON where a column holds other text: ``a, b`` is no list.

    ``raw`` as :func:`spec_of` gives it.
    """
    legacy, field = LEGACY_TABLES[kind.aggregate_type], column_of(error.field)
    text = isinstance(raw.get(error.field.removeprefix("spec.")), str)
    if text and field in legacy.fields and isinstance(legacy.shape(field), JsonText):
        return replace(error, message=f"{error.message}, written as JSON")
    return error


def spec_of(kind: EntityKind, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as somebody would write its manifest: camelCase, JSON values, nothing corrected.

    What a column cannot hold by its declaration (SQLite takes anything) stays as it is and fails
    in :func:`canonical`. Times without a zone are UTC.
    """
    legacy = LEGACY_TABLES[kind.aggregate_type]
    values = {
        field: _plain(legacy.shape(field), row[field])
        for field in legacy.fields
        if row[field] is not None
    }
    return _camel(kind.spec, values)


def canonical(kind: EntityKind, row: Mapping[str, Any]) -> EntitySpec:
    """The canonical spec of a row; raises :class:`~eatool.domain.errors.SpecInvalid`."""
    return parse(kind, spec_of(kind, row))


def fingerprint(kind: EntityKind, fields: Mapping[str, Any]) -> int:
    """64 bits, signed, of canonical fields by snake_case name; equal for what means the same.

    Takes JSON values (of an event, ``model_dump(mode="json")``) as well as Python values (of a
    read table). Fields that are not set, empty lists and unknown fields do not count.
    """
    plain: dict[str, Any] = {}
    for column in LEGACY_TABLES[kind.aggregate_type].columns:
        value = fields.get(column.field, column.default)
        if column.read is not None and isinstance(value, str):
            value = column.read(value)
        plain[column.field] = value
    encoded = orjson.dumps(
        _set(plain), option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z, default=float
    )
    return int.from_bytes(hashlib.sha256(encoded).digest()[:8], "big", signed=True)


def spec_fingerprint(kind: EntityKind, spec: BaseModel) -> int:
    """:func:`fingerprint` of a canonical spec."""
    return fingerprint(kind, spec.model_dump(mode="json", by_alias=False))


def instant(value: object) -> datetime | None:
    """A time stamp as the registry keeps it, whatever its column type; ``None`` for no time."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _set(value: Any) -> Any:
    """The same without what is not set; ``0`` and ``False`` are."""
    if isinstance(value, Mapping):
        pruned = {name: _set(each) for name, each in value.items()}
        return {name: each for name, each in pruned.items() if each not in (None, [], {})}
    if isinstance(value, list | tuple):
        return [_set(each) for each in value]
    return value


def _plain(shape: Any, value: Any) -> Any:
    """A driver's value in JSON form, if it can be one of the declared type."""
    match shape:
        case JsonText() if isinstance(value, str):
            return _loaded(value)
        case Boolean() if isinstance(value, int) and value in (0, 1):
            return bool(value)
        case _ if isinstance(value, Decimal):
            return float(value)
        case UtcDateTime():
            at = instant(value)
            return value if at is None else at.isoformat().replace("+00:00", "Z")
        case Date() if isinstance(value, date):
            return value.isoformat()[:10]
        case _:
            return value


def _loaded(text: str) -> Any:
    try:
        return orjson.loads(text) if text.strip() else None
    except orjson.JSONDecodeError:
        return text


def _camel(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Field names as in a manifest; names that are no fields stay, for the parser to refuse."""
    named: dict[str, Any] = {}
    for name, value in values.items():
        info = model.model_fields.get(name)
        alias = name if info is None or info.alias is None else info.alias
        part = None if info is None else _part(info.annotation)
        nested = part is not None and isinstance(value, Mapping)
        named[alias] = _camel(part, value) if part is not None and nested else value
    return named


def _part(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, if it holds one."""
    options = (annotation, *get_args(annotation))
    return next(
        (each for each in options if isinstance(each, type) and issubclass(each, BaseModel)), None
    )


def canonicalised(
    kind: EntityKind, raw: Mapping[str, Any], spec: EntitySpec
) -> dict[str, tuple[Any, Any]]:
    """Fields that mean something else than they say: raw and canonical value by camelCase name.

    ``raw`` as :func:`spec_of` gives it. The order of a set, and an empty value for none, are no
    difference.
    """
    wanted = spec.model_dump(mode="json", by_alias=True)
    return {
        name: (value, wanted[name])
        for name, value in raw.items()
        if not _alike(_set(value), _set(wanted[name]))
    }


def _alike(raw: Any, wanted: Any) -> bool:
    if isinstance(raw, list) and isinstance(wanted, list):
        return len(raw) == len(wanted) and set(raw) == set(wanted)
    return bool(raw == wanted) or (raw in ("", [], {}) and wanted in (None, [], {}))
