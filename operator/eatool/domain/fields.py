"""Field types shared by the kinds: names, references, quantities, times, sets of labels."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema

from eatool.domain.errors import Code
from eatool.domain.text import BLANKS, CONTROL, SetOf, Text, any_case, refuse

#: Longest ``metadata.name``, so that it fits in a label value.
NAME_MAX = 63
_NAME_PATTERN = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?"
_NAME_LEGAL = (
    "the metadata.name of an object in the same namespace: lower-case letters, digits, inner "
    "hyphens and dots"
)


def _blank_is_absent(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip(BLANKS) else value


_BLANK_IS_ABSENT = BeforeValidator(_blank_is_absent)

# --- free text -------------------------------------------------------------------------------

Name = Annotated[str, Text(255)]
Label100 = Annotated[str, Text(100)]
Label50 = Annotated[str, Text(50)]
#: Optional texts for which blank means "not set"; declare the field as ``... = None``.
OptionalText2000 = Annotated[Annotated[str, Text(2000, blank=True)] | None, _BLANK_IS_ABSENT]
OptionalText500 = Annotated[Annotated[str, Text(500, blank=True)] | None, _BLANK_IS_ABSENT]
OptionalText255 = Annotated[Annotated[str, Text(255, blank=True)] | None, _BLANK_IS_ABSENT]

# --- references ------------------------------------------------------------------------------

#: ``metadata.name`` of another entity; add a :class:`~eatool.domain.kind.Ref` to say of which kind.
EntityName = Annotated[str, Text(NAME_MAX, pattern=_NAME_PATTERN, legal=_NAME_LEGAL, trim=False)]
#: Marker of a consumer that is a team, not an application.
TEAM_PREFIX = "team:"
Consumer = Annotated[
    str,
    Text(
        255 + len(TEAM_PREFIX),
        pattern=rf"{_NAME_PATTERN}|{TEAM_PREFIX}\s*\S(?:.*\S)?",
        legal=f"{_NAME_LEGAL}; or {TEAM_PREFIX}<name of a team>",
    ),
]
#: References and other lists without a limit of their own (the event has one).
LIST_MAX = 200

# --- structured text -------------------------------------------------------------------------

Protocol = Annotated[
    str,
    Text(50, pattern=r"[^\sA-Z]+", legal="a lower-case protocol name such as https, grpc or kafka"),
]
Version = Annotated[
    str,
    Text(
        100,
        pattern=r"v?[0-9]+(?:\.[0-9]+){0,2}(?:[-+][0-9A-Za-z.+-]+)?",
        legal="a version such as 2.3.0, v1 or 1.0.0-rc.1",
    ),
]
Retention = Annotated[
    str,
    Text(
        100,
        pattern=r"[0-9]+\s*(?:" + any_case("y|years?|m|months?|w|weeks?|d|days?|h|hours?") + ")",
        legal="a number and a unit such as 7 years, 36 months (36m), 6w, 90 days or 12h",
        canonical=lambda text: " ".join(text.lower().split()),
    ),
]
_FREQUENCIES = "real-time|streaming|hourly|daily|weekly|monthly|on-demand|batch"
Frequency = Annotated[
    str,
    Text(
        50,
        pattern=any_case(_FREQUENCIES) + r"|[0-9]+[smhSMH]",
        legal="one of "
        + _FREQUENCIES.replace("|", ", ")
        + ", or an interval such as 30s, 15m or 4h",
        canonical=str.lower,
    ),
]
_SLA = (
    r"(?:[0-9]%|[0-9]\s*(?:" + any_case("ms|s|min|h") + r")|24/7|" + any_case("best-effort") + ")"
)
IntegrationSla = Annotated[
    Annotated[
        str,
        Text(
            500,
            # [\s\S] instead of a flag: the text may have several lines.
            pattern=rf"(?:[\s\S]*{_SLA}[\s\S]*)?",
            legal="a text with a percentage (99.9%), a time (200 ms), 24/7 or best-effort",
            blank=True,
        ),
    ]
    | None,
    _BLANK_IS_ABSENT,
]
Color = Annotated[
    str,
    Text(
        7,
        pattern=r"#[0-9A-Fa-f]{6}",
        legal="a colour written #RRGGBB",
        trim=False,
        canonical=str.lower,
    ),
]

Tag = Annotated[
    str,
    Text(
        63,
        pattern=r"[a-z0-9](?:[a-z0-9._:-]*[a-z0-9])?",
        legal="lower-case letters, digits and inner . _ : - only",
        trim=False,
    ),
]
Tags = Annotated[tuple[Tag, ...], SetOf(50)]
GlossaryTerms = Annotated[tuple[Label100, ...], SetOf(LIST_MAX)]

# --- numbers and flags -----------------------------------------------------------------------

Flag = Annotated[bool, Strict()]
#: 1 to 2^53-1, the integers every JSON reader keeps exact.
Count = Annotated[int, Strict(), Field(ge=1, le=2**53 - 1, json_schema_extra={"format": "int64"})]


def _quotas(value: dict[str, int]) -> dict[str, int] | None:
    if len(value) > _QUOTAS_MAX:
        raise refuse(Code.TOO_LARGE, f"must have at most {_QUOTAS_MAX} entries")
    if any(
        not name.strip(BLANKS) or len(name) > NAME_MAX or CONTROL.search(name) for name in value
    ):
        legal = f"names of 1 to {NAME_MAX} characters, no control characters"
        raise refuse(Code.FORMAT, f"must have {legal}")
    return dict(sorted(value.items())) or None


_QUOTAS_MAX = 50
#: Named limits such as ``per_day: 50000``; none at all counts as not set.
Quotas = Annotated[
    dict[str, Count] | None,
    AfterValidator(lambda value: None if value is None else _quotas(value)),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "type": "integer",
                "format": "int64",
                "minimum": 1,
                "maximum": 2**53 - 1,
            },
            "maxProperties": _QUOTAS_MAX,
        }
    ),
]
#: Four decimals decide whether two values differ; ``+ 0.0`` turns -0.0 into 0.0.
Confidence = Annotated[
    float,
    Strict(),
    Field(ge=0, le=1, allow_inf_nan=False),
    AfterValidator(lambda value: round(value, 4) + 0.0),
]

# --- time ------------------------------------------------------------------------------------

_TIMESTAMP_LEGAL = "a UTC timestamp such as 2026-01-31T08:30:00Z"
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z")
_DATE_LEGAL = "a date written YYYY-MM-DD"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_timestamp(value: object) -> datetime:
    """Instant of an ISO 8601 text ending in ``Z`` or of an aware datetime; refuses the rest."""
    if isinstance(value, str) and _TIMESTAMP.fullmatch(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            raise refuse(Code.FORMAT, f"must be {_TIMESTAMP_LEGAL}") from None
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    raise refuse(Code.FORMAT, f"must be {_TIMESTAMP_LEGAL}")


def _parse_date(value: object) -> date:
    # YAML readers other than the API server's turn an unquoted date into a date object.
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise refuse(Code.FORMAT, f"must be {_DATE_LEGAL}")


Timestamp = Annotated[
    datetime,
    BeforeValidator(parse_timestamp),
    # The format alone would let the API server take other offsets than UTC.
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": "Z$", "maxLength": 27}),
]
Date = Annotated[
    date,
    BeforeValidator(_parse_date),
    WithJsonSchema({"type": "string", "format": "date", "maxLength": 10}),
]
