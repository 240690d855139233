"""What is wrong with a declared broker or replay, in words for whoever declared it."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

#: Legal values that are few enough to be listed in full.
_FEW = 12


class SpecProblem(Exception):
    """The spec cannot be used as it is; the text says what was refused and what is legal.

    It never quotes a secret.

    Attributes:
        field: path in the object: ``spec.credentials.basic``.
        reason: CamelCase reason of a condition.

    """

    def __init__(self, field: str, reason: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.reason = reason


def unknown(field: str, reason: str, what: str, given: str, legal: Collection[str]) -> SpecProblem:
    """``given`` is no ``what``: name what is close to it, or everything legal if that is short."""
    close = get_close_matches(given, legal, n=3, cutoff=0.6)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    elif len(legal) <= _FEW:
        hint = f"legal: {', '.join(sorted(legal))}"
    else:
        hint = f"{len(legal)} are known, such as {', '.join(sorted(legal)[:3])}"
    return SpecProblem(field, reason, f"{given!r} is no {what}; {hint}")
