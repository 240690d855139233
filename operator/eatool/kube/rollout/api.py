"""The API requests about EventSourcingRollouts, which belong to no namespace."""

from __future__ import annotations

from kubernetes.aio import client

from eatool.kube.platform.api import DeclaredApi
from eatool.kube.platform.resources import Body
from eatool.kube.requests import RequestObserver
from eatool.kube.rollout.resource import EVENT_SOURCING_ROLLOUT


class RolloutApi(DeclaredApi):
    """Listings, statuses and approvals; there is at most one object of each kind."""

    def __init__(self, api: client.ApiClient, observe: RequestObserver) -> None:
        super().__init__(api, observe, namespace=None)

    async def rollouts(self) -> list[Body]:
        """Every rollout; ``NotServed`` while there is no such resource."""
        return [body async for body in self.list(EVENT_SOURCING_ROLLOUT)]

    async def annotate(self, name: str, annotations: Body, *, manager: str) -> Body | None:
        """Set annotations as ``manager``; ``None`` when there is no such rollout."""
        place = self._place(EVENT_SOURCING_ROLLOUT.plural)
        changes = {"metadata": {"annotations": annotations}}
        return await self._merge(place, name, changes, manager=manager)
