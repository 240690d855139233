"""What the clock alone makes of an accepted spec: no event tells of it, so somebody has to look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from eatool.domain.errors import FieldError


class Validity(StrEnum):
    """Where a moment lies to a window, as a CamelCase reason."""

    NOT_YET = "NotYet"
    WITHIN = "WithinWindow"
    OVER = "Over"


@dataclass(frozen=True, slots=True)
class Timing:
    """How things stand at a moment.

    Attributes:
        validity: ``None`` for what is valid for ever.
        advice: warnings that come and go with time.
        until: the next moment at which any of it may be otherwise, if there is one.

    """

    validity: Validity | None = None
    advice: tuple[FieldError, ...] = ()
    until: datetime | None = None
