"""A kopf registry around one operator: login, start and stop, and sightings handed over.

kopf's change detection (last-handled annotations, progress, retries) is not used: it counts
failed changes as handled and costs API writes, and the log knows better what has been recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import kopf

from eatool.kube.credentials import login
from eatool.kube.requests import Body

#: Told of each version of an object: the type of the watch event, ``None`` in the initial
#: listing, and the object.
Sighted = Callable[[str | None, Body], None]


class Watching(Protocol):
    """An operator that lives in kopf's event loop."""

    async def start(self) -> None:
        """Begin to work, before the watches open."""
        ...

    async def stop(self) -> None:
        """End all work."""
        ...


def registry_of(operator: Watching, *, clusterwide: bool) -> kopf.OperatorRegistry:
    """A registry that logs in, starts and stops ``operator``, and watches nothing yet.

    ``clusterwide``: it has the rights to read CRDs and namespaces.
    """
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(login)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings, clusterwide=clusterwide)
        await operator.start()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await operator.stop()

    return registry


def hand_over(
    registry: kopf.OperatorRegistry, group: str, version: str, plural: str, sighted: Sighted
) -> None:
    """Watch a resource; each sighting of an object goes to ``sighted``."""

    @kopf.on.event(group, version, plural, registry=registry)
    async def seen(event: kopf.RawEvent, **_: Any) -> None:
        sighted(event["type"], dict(event["object"]))


def configure(settings: kopf.OperatorSettings, *, clusterwide: bool) -> None:
    """Settings of kopf; only what differs from its defaults."""
    # Log lines must not become Kubernetes events, one API request each; condition transitions are
    # announced instead, on purpose and rarely.
    settings.posting.loggers = False
    # One worker task per object ends soon after its last event: sightings are handed over at
    # once, so keeping 10,000 of them idle only costs memory.
    settings.queueing.idle_timeout = 1.0
    # A dead connection shows as silence; the API server sends a bookmark every 60 s.
    settings.watching.inactivity_timeout = 70.0
    settings.networking.request_timeout = 30.0
    # A Role cannot grant reading CRDs and namespaces; kopf would retry its refusal for a minute
    # with all watches closed (nolar/kopf#1153).
    settings.scanning.disabled = not clusterwide
