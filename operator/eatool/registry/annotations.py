"""Annotations that accompany a change, as provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from eatool.registry.change import Provenance

REASON: Final = "eatool.io/reason"
APPROVAL: Final = "eatool.io/approval-id"
OVERRIDE: Final = "eatool.io/override"
CORRELATION: Final = "eatool.io/correlation-id"
TRACEPARENT: Final = "eatool.io/traceparent"


def with_annotations(told: Provenance, annotations: Mapping[str, str]) -> Provenance:
    """``told`` with what the manifest itself says; blank annotations say nothing."""

    def text(name: str) -> str | None:
        return annotations.get(name, "").strip() or None

    return replace(
        told,
        reason=text(REASON) or told.reason,
        approval_id=text(APPROVAL) or told.approval_id,
        override=text(OVERRIDE) or told.override,
        correlation=text(CORRELATION) or told.correlation,
        traceparent=text(TRACEPARENT) or told.traceparent,
    )
