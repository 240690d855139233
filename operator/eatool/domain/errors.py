"""What can be wrong with a spec: a field, a code, a message that names the legal values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Field-level codes. The condition reason is the CamelCase form, see :attr:`reason`.

    There is none for items given twice: lists are sets, in which repeating an item says nothing.
    """

    REQUIRED = "REQUIRED"
    FORMAT = "FORMAT"
    RANGE = "RANGE"
    CONSTRAINT_VIOLATED = "CONSTRAINT_VIOLATED"
    CIRCULAR_REFERENCE = "CIRCULAR_REFERENCE"
    INVALID_STATE_TRANSITION = "INVALID_STATE_TRANSITION"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    REFERENCE_NOT_FOUND = "REFERENCE_NOT_FOUND"
    REFERENCE_TERMINATING = "REFERENCE_TERMINATING"
    RELATION_NOT_ALLOWED = "RELATION_NOT_ALLOWED"
    SELF_RELATION = "SELF_RELATION"
    ARCHIMATE_MISMATCH = "ARCHIMATE_MISMATCH"
    IMMUTABLE_FIELD = "IMMUTABLE_FIELD"
    JUSTIFICATION_REQUIRED = "JUSTIFICATION_REQUIRED"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    DELETE_BLOCKED = "DELETE_BLOCKED"
    TOO_LARGE = "TOO_LARGE"

    @property
    def reason(self) -> str:
        """The Kubernetes condition reason: ``CIRCULAR_REFERENCE`` -> ``CircularReference``."""
        return "".join(word.capitalize() for word in self.value.split("_"))


@dataclass(frozen=True, slots=True)
class FieldError:
    """One complaint.

    ``field`` is the JSON path in the user's manifest (``spec.parentId``,
    ``spec.domains[2]``); ``message`` says what is legal and never repeats a refused value that
    could be a secret or personal data.
    """

    field: str
    code: Code
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class SpecInvalid(Exception):
    """A spec that cannot be accepted as written; carries every field error found, not the first."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = errors
