"""From pydantic's dialect to Kubernetes': what is translated, dropped, and refused."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from eatool.kube.schema.structural import UnsupportedSchema, structural_schema


class Size(StrEnum):
    """How ``big``."""

    SMALL = "small"
    LARGE = "large"


class Inner(BaseModel):
    """Something
    inside.
    """

    depth: int | None = None


def field_schema(annotation: Any, **options: Any) -> dict[str, Any]:
    """The structural schema of a required field of this type."""
    field: Any = Field(**options)
    model = type("Model", (BaseModel,), {"__annotations__": {"x": annotation}, "x": field})
    schema: dict[str, Any] = structural_schema(model)["properties"]["x"]
    return schema


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str | None, {"type": "string"}),
        (bool, {"type": "boolean"}),
        (int, {"type": "integer", "format": "int64"}),
        (Annotated[float, Field(gt=0, le=1)],
         {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1}),
        (date | None, {"type": "string", "format": "date"}),
        (datetime, {"type": "string", "format": "date-time"}),
        (Literal["only"], {"type": "string", "enum": ["only"]}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Size | None, {"description": "How `big`.", "type": "string", "enum": ["small", "large"]}),
        (Inner | None,
         {"description": "Something inside.", "type": "object",
          "properties": {"depth": {"type": "integer", "format": "int64"}}}),
        (Annotated[dict[str, Annotated[int, Field(ge=1)]], Field(max_length=3)],
         {"type": "object", "maxProperties": 3,
          "additionalProperties": {"type": "integer", "format": "int64", "minimum": 1}}),
        (frozenset[Annotated[str, Field(pattern="^[a-z]+$")]],
         {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"},
          "x-kubernetes-list-type": "atomic"}),
    ],
    ids=str,
)  # fmt: skip
def test_translated(annotation: Any, expected: dict[str, Any]) -> None:
    assert field_schema(annotation) == expected


def test_a_pattern_in_words_becomes_a_rule_with_a_message() -> None:
    legal = {"x-legal": "a word in 'quotes'"}

    assert field_schema(str, pattern=r"^'\w+'$", json_schema_extra=legal) == {
        "type": "string",
        "x-kubernetes-validations": [
            {
                "rule": r"self.matches('^\'\\w+\'$')",
                "message": "must be a word in 'quotes'",
                "reason": "FieldValueInvalid",
            }
        ],
    }


def test_a_date_keeps_its_pattern() -> None:
    """In CEL it is a timestamp, which matches nothing."""
    extra = {"format": "date", "pattern": "^2", "x-legal": "in this millennium"}

    assert field_schema(str, json_schema_extra=extra) == {
        "type": "string",
        "format": "date",
        "pattern": "^2",
    }


def test_defaults_stay_out_and_make_a_field_optional() -> None:
    class Model(BaseModel):
        """A model."""

        needed: str
        tags: tuple[str, ...] = ("a",)
        inner: Inner = Inner(depth=1)

    schema = structural_schema(Model)

    assert schema["required"] == ["needed"]
    assert "default" not in str(schema)
    assert schema["description"] == "A model."


def test_the_description_of_the_field_wins() -> None:
    schema = field_schema(Size, description="How big\n  the box is.")

    assert schema["description"] == "How big the box is."


@pytest.mark.parametrize(
    ("annotation", "options", "problem"),
    [
        (str | int, {}, "may have several types"),
        (Any, {}, "has no single type"),
        (list[Any], {}, "has no single type"),
        (dict[str, Any], {}, "map without a type of its values"),
        (bytes, {}, "format 'binary' is not checked by Kubernetes"),
        (tuple[int, str], {}, "no structural counterpart of prefixItems"),
        (int, {"multiple_of": 5}, "no structural counterpart of multipleOf"),
        (str, {"json_schema_extra": {"pattern": "(?!a)b"}}, "pattern has '(?!', RE2 has not"),
    ],
    ids=str,
)
def test_what_kubernetes_cannot_say_is_refused(
    annotation: Any, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UnsupportedSchema) as refused:
        field_schema(annotation, **options)

    assert str(refused.value).startswith("spec.x")
    assert problem in str(refused.value)
