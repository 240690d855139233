"""Annotations that accompany a change, as provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

from eatool.registry.change import REASON_LENGTH, TOKEN_LENGTH, Annotations, Provenance

REASON: Final = "eatool.io/reason"
APPROVAL: Final = "eatool.io/approval-id"
OVERRIDE: Final = "eatool.io/override"
CORRECTS: Final = "eatool.io/corrects-event-id"
CORRELATION: Final = "eatool.io/correlation-id"
TRACEPARENT: Final = "eatool.io/traceparent"


def with_annotations(told: Provenance, annotations: Mapping[str, str]) -> Provenance:
    """``told`` with what the manifest itself says; blank annotations say nothing."""

    def text(name: str, length: int | None = None) -> str | None:
        return annotations.get(name, "").strip()[:length] or None

    return replace(
        told,
        annotations=Annotations(
            reason=text(REASON, REASON_LENGTH),
            approval_id=text(APPROVAL, TOKEN_LENGTH),
            override=text(OVERRIDE, TOKEN_LENGTH),
            corrects_event_id=_uuid(text(CORRECTS)),
        ),
        correlation=text(CORRELATION) or told.correlation,
        traceparent=text(TRACEPARENT) or told.traceparent,
    )


def _uuid(token: str | None) -> str | None:
    """The id in its usual form; what is none names no event."""
    try:
        return None if token is None else str(UUID(token))
    except ValueError:
        return None
