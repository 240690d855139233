"""The newest version the operator knows of each object of its namespace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eatool.kube.objects import is_current
from eatool.kube.platform.resources import Body, Key, Resource


class Sightings:
    """Belongs to the operator's event loop."""

    def __init__(self) -> None:
        self._bodies: dict[Key, Body] = {}

    def get(self, key: Key) -> Body | None:
        """Newest body, ``None`` when there is no such object."""
        return self._bodies.get(key)

    def of(self, resource: Resource) -> Iterator[Body]:
        """All objects of a resource."""
        return (body for key, body in list(self._bodies.items()) if key.plural == resource.plural)

    def observe(self, key: Key, body: Body) -> bool:
        """Take note of a version; whether it is newer than the one that was known."""
        known = self._bodies.get(key)
        if known is not None and is_current(known, body):
            return False
        self._bodies[key] = body
        return True

    def vanished(self, key: Key, body: Mapping[str, Any] | None = None) -> None:
        """The object is gone; ``body`` guards against late news of a predecessor."""
        known = self._bodies.get(key)
        if known is None or (body is not None and known["metadata"]["uid"] != _uid(body)):
            return
        del self._bodies[key]


def _uid(body: Mapping[str, Any]) -> str:
    return str(body["metadata"]["uid"])
