"""Kubernetes events for people who run ``kubectl describe``: rare, and only on transitions."""

from __future__ import annotations

from typing import Any

import kopf

Body = dict[str, Any]

#: Limit of the ``message`` of a Kubernetes event.
_MESSAGE_LIMIT = 1024


def announce(before: Body, after: Body) -> None:
    """Post an event when an object starts or ceases to need attention.

    The steady case (a change is recorded) posts nothing: it would cost an API request each.
    """
    was, now = _ready(before), _ready(after)
    if (was.get("status"), was.get("reason")) == (now.get("status"), now.get("reason")):
        return
    if now.get("status") == "False":
        _post(after, "Warning", now)
    elif now.get("status") == "True" and was.get("status") == "False":
        _post(after, "Normal", now)


def _post(body: Body, severity: str, condition: Body) -> None:
    kopf.event(
        kopf.Body(body),  # type: ignore[arg-type]  # a raw object is what it wraps
        type=severity,
        reason=condition["reason"],
        message=condition["message"][:_MESSAGE_LIMIT],
    )


def _ready(body: Body) -> Body:
    conditions = (body.get("status") or {}).get("conditions") or ()
    return next((entry for entry in conditions if entry["type"] == "Ready"), {})
