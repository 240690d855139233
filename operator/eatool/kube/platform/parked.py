"""ParkedStream objects: what one broker refuses, to look at and to release with kubectl.

The checkpoints are the truth and the objects show it, with one exception: the annotation
``platform.eatool.io/resend``, which asks for the release. Its value is echoed in the status, so
each value asks once, whoever reads it and however often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import structlog

from eatool.kube.platform.announcing import PlatformAnnouncer
from eatool.kube.platform.broker_status import stamp
from eatool.kube.platform.parts import Parts
from eatool.kube.platform.resources import (
    BROKER_LABEL,
    EVENT_BROKER,
    PARKED_STREAM,
    RESEND,
    Body,
    Key,
    Resource,
    parked_name,
)
from eatool.kube.requests import ApiConflict
from eatool.publishing.checkpoints import ParkedStream

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.platform")


class ObjectApi(Protocol):
    """Where objects are made and removed."""

    async def create(self, resource: Resource, body: Body) -> Body | None:
        """Create an object; ``ApiConflict`` when it exists."""
        ...

    async def delete(self, key: Key) -> None:
        """Delete an object; fine when there is none."""
        ...


class ParkedObjects:
    """Keeps the ParkedStreams of a broker as its checkpoints are."""

    def __init__(self, api: ObjectApi, parts: Parts, announce: PlatformAnnouncer) -> None:
        self._api = api
        self._parts = parts
        self._announce = announce

    async def sync(self, broker: Body, parked: Collection[ParkedStream]) -> None:
        """Create, update and remove; raises what the API and the store say."""
        name = broker["metadata"]["name"]
        wanted = {parked_name(name, stream.stream_id): stream for stream in parked}
        for stale in self._of(name):
            if stale["metadata"]["name"] not in wanted:
                await self._remove(stale)
        if not wanted:
            return
        newest = await asyncio.to_thread(
            self._parts.reader.newest, [each.stream_id for each in parked]
        )
        new: list[ParkedStream] = []
        for object_name, stream in wanted.items():
            key = Key(PARKED_STREAM.plural, object_name)
            known = self._parts.sightings.get(key)
            body = known or await self._make(broker, object_name, stream)
            if body is None:
                continue
            if known is None:
                new.append(stream)
            waiting = newest.get(stream.stream_id, 0) - stream.first_version + 1
            await self._show(key, body, name, stream, waiting)
        if new:
            first = f"{new[0].stream_id} is not sent any more: {new[0].reason}"
            self._announce.parked(broker, len(new), first)

    async def clear(self, broker: str) -> None:
        """The broker is gone; what it parked is remembered in its checkpoints only."""
        for body in self._of(broker):
            await self._remove(body)

    async def _show(
        self, key: Key, body: Body, broker: str, stream: ParkedStream, waiting: int
    ) -> None:
        old = body.get("status") or {}
        asked = (body["metadata"].get("annotations") or {}).get(RESEND)
        resending = stream.resend_requested
        if asked is not None and asked != old.get("lastHandledResend"):
            resending = await asyncio.to_thread(
                self._parts.checkpoints.request_resend, broker, stream.stream_id
            )
            _log.info("re-send asked for", broker=broker, stream=stream.stream_id)
        status = {
            "state": "Resending" if resending else "Parked",
            "reason": stream.reason,
            "attempts": stream.attempts,
            "firstPosition": stream.first_position,
            "firstVersion": stream.first_version,
            "waitingEvents": max(0, waiting),
            "parkedAt": stamp(stream.parked_at),
            **({} if asked is None else {"lastHandledResend": asked}),
        }
        await self._parts.writer.write(key, body, status, essence=_essence)

    async def _make(self, broker: Body, name: str, stream: ParkedStream) -> Body | None:
        """The new object; ``None`` when somebody else was faster, whose news will come."""
        owner = broker["metadata"]
        body: dict[str, Any] = {
            "apiVersion": PARKED_STREAM.api_version,
            "kind": PARKED_STREAM.kind,
            "metadata": {
                "name": name,
                "labels": {BROKER_LABEL: owner["name"]},
                "ownerReferences": [
                    {
                        "apiVersion": EVENT_BROKER.api_version,
                        "kind": EVENT_BROKER.kind,
                        "name": owner["name"],
                        "uid": owner["uid"],
                    }
                ],
            },
            "spec": {"broker": owner["name"], "stream": stream.stream_id},
        }
        try:
            made = await self._api.create(PARKED_STREAM, body)
        except ApiConflict:
            return None
        if made is not None:
            self._parts.sightings.observe(Key(PARKED_STREAM.plural, name), made)
        return made

    async def _remove(self, body: Body) -> None:
        key = Key(PARKED_STREAM.plural, body["metadata"]["name"])
        await self._api.delete(key)
        self._parts.sightings.vanished(key, body)
        self._parts.writer.forget(key)

    def _of(self, broker: str) -> list[Body]:
        return [
            body
            for body in self._parts.sightings.of(PARKED_STREAM)
            if body["spec"]["broker"] == broker
        ]


def _essence(status: Mapping[str, Any]) -> object:
    return [status.get(name) for name in ("state", "reason", "lastHandledResend")]
