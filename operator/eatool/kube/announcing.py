"""Kubernetes events for people who run ``kubectl describe``: rare, and only on transitions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from eatool.domain.errors import Code
from eatool.kube.conditions import condition_of
from eatool.kube.contract import COMPONENT
from eatool.settings import pod_identity

Body = dict[str, Any]

#: Reasons of objects that go on by themselves when their target arrives.
_PATIENCE = frozenset({Code.REFERENCE_NOT_FOUND.reason, Code.REFERENCE_TERMINATING.reason})

#: Limit of the ``note`` of a Kubernetes event, in bytes of UTF-8.
_NOTE_LIMIT = 1024

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.announcing")


class EventApi(Protocol):
    """Where Kubernetes events go; :class:`eatool.kube.api.EntityApi` in production."""

    async def post_event(self, namespace: str, event: Body) -> object:
        """Create one event; raises what the API says."""
        ...


class Poster:
    """Posts events beside the work; a failure is only logged: the conditions tell the same.

    (``kopf.event`` works inside kopf's handlers only; these come from our own queues.)
    """

    def __init__(self, api: EventApi) -> None:
        self._api = api
        self._posting: set[asyncio.Task[None]] = set()

    def post(self, body: Body, severity: str, reason: str, note: str) -> None:
        """Tell of the object ``body``; ``severity`` is Normal or Warning."""
        task = asyncio.create_task(self._post(body, severity, reason, note))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def _post(self, body: Body, severity: str, reason: str, note: str) -> None:
        metadata = body["metadata"]
        event = {
            "metadata": {"generateName": f"{metadata['name'][:200].rstrip('.-')}-"},
            "regarding": {
                "apiVersion": body["apiVersion"],
                "kind": body["kind"],
                **({"namespace": metadata["namespace"]} if "namespace" in metadata else {}),
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "type": severity,
            "reason": reason,
            "action": "Reconcile",
            "note": note.encode()[:_NOTE_LIMIT].decode(errors="ignore"),
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": COMPONENT,
            "reportingInstance": pod_identity(),
        }
        try:
            # Where events of objects of the cluster are kept by convention.
            await self._api.post_event(metadata.get("namespace", "default"), event)
        except Exception as error:
            _log.warning("event not posted", why=str(error))


class Announcer(Poster):
    """Posts an event when an entity's object starts or ceases to need attention.

    The steady case (a change is recorded) posts nothing: it would cost an API request each. Nor
    does waiting for a reference, which a directory applied in any order does all the time.
    """

    def __call__(self, before: Body, after: Body) -> None:
        """Announce what changed between two versions of an object."""
        was, now = condition_of(before, "Ready"), condition_of(after, "Ready")
        if _needs_attention(now) and was.get("reason") != now["reason"]:
            self.post(after, "Warning", now["reason"], now["message"])
        elif now.get("status") == "True" and _needs_attention(was):
            self.post(after, "Normal", now["reason"], now["message"])


def _needs_attention(ready: Mapping[str, Any]) -> bool:
    return ready.get("status") == "False" and ready["reason"] not in _PATIENCE
