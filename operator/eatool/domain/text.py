"""Building blocks of the field types: trimmed, pattern-checked text and sets.

Each block canonicalises while validating and contributes the matching JSON schema keywords. The
schema is what the API server enforces, so it never refuses what the domain accepts: limits count
the text *as written*, and patterns allow the surrounding blanks that are trimmed later. Patterns
stay within RE2 (no look-around, no repetition over 1000) because the API server compiles them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from eatool.domain.errors import Code

#: What RE2 calls ``\s``: trimming anything else would accept what the schema refuses.
BLANKS = " \t\r\n\f"
#: PostgreSQL cannot store NUL in JSON, halves of surrogate pairs have no UTF-8 form (YAML can
#: escape them), and the rest only confuses terminals and brokers.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def refuse(code: Code, message: str) -> PydanticCustomError:
    """Field error raised inside a validator; never put the refused value into ``message``."""
    return PydanticCustomError(code.value, message)


def any_case(words: str) -> str:
    """Pattern for ``words`` in any letter case, without flags: ``day`` -> ``[dD][aA][yY]``."""
    return re.sub(r"[a-z]", lambda m: f"[{m[0]}{m[0].upper()}]", words)


@dataclass(frozen=True, slots=True)
class Text:
    """Metadata of a string field, used as ``Annotated[str, Text(255)]``.

    Attributes:
        maximum: longest text as written, in characters (code points).
        pattern: RE2 pattern that the trimmed text matches as a whole.
        legal: what is legal, in words, for messages: ``"a DNS name such as shop.example"``.
        trim: whether surrounding blanks are dropped; identifiers are taken literally.
        blank: whether a text of blanks only passes (the field then counts as not set).
        canonical: last step; returns the canonical text or raises :func:`refuse`.

    """

    maximum: int
    pattern: str | None = None
    legal: str | None = None
    trim: bool = True
    blank: bool = False
    canonical: Callable[[str], str] | None = None

    def _validate(self, value: str) -> str:
        if len(value) > self.maximum:
            raise refuse(Code.RANGE, f"must be at most {self.maximum} characters")
        text = value.strip(BLANKS) if self.trim else value
        if not text and not self.blank:
            raise refuse(Code.FORMAT, "must not be empty; leave the field out to clear it")
        if CONTROL.search(text):
            raise refuse(Code.FORMAT, "must not contain control characters")
        if self.pattern is not None and text and not re.fullmatch(self.pattern, text, re.ASCII):
            raise refuse(Code.FORMAT, f"must be {self.legal}")
        return self.canonical(text) if self.canonical is not None else text

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            self._validate, core_schema.str_schema()
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        keywords: dict[str, Any] = {"maxLength": self.maximum}
        if not self.blank:
            keywords["minLength"] = 1
        if self.pattern is not None:
            padding = r"\s*" if self.trim else ""
            keywords["pattern"] = f"^{padding}(?:{self.pattern}){padding}$"
            keywords["x-legal"] = self.legal  # the CRD says this instead of the pattern
        return {**handler(schema), **keywords}


@dataclass(frozen=True, slots=True)
class SetOf:
    """Metadata of a list field that means a set: ``Annotated[tuple[Tag, ...], SetOf(50)]``.

    Canonical is sorted without duplicates, so reordering is no change. ``maximum`` counts the
    items as written.
    """

    maximum: int

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def canonical(items: tuple[str, ...]) -> tuple[str, ...]:
            if len(items) > self.maximum:
                raise refuse(Code.TOO_LARGE, f"must have at most {self.maximum} items")
            return tuple(sorted(set(items)))

        return core_schema.no_info_after_validator_function(canonical, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "maxItems": self.maximum}
