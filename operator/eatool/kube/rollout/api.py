"""The API requests about EventSourcingRollouts, which belong to no namespace."""

from __future__ import annotations

from eatool.kube.api import JSON_PATCH, TIMEOUT, Requests
from eatool.kube.contract import COMPONENT
from eatool.kube.platform.resources import Body, Key
from eatool.kube.rollout.resource import EVENT_SOURCING_ROLLOUT
from eatool.publishing.declared import API_GROUP, API_VERSION

_MERGE_PATCH = "application/merge-patch+json"
_PATH = (API_GROUP, API_VERSION, EVENT_SOURCING_ROLLOUT.plural)


class RolloutApi(Requests):
    """Listings and statuses; there is at most one object of each kind."""

    async def list(self) -> list[Body]:
        """Every rollout; ``NotServed`` while there is no such resource."""
        plural = EVENT_SOURCING_ROLLOUT.plural
        page = await self._listed(
            plural, self._objects.list_cluster_custom_object(*_PATH, _request_timeout=TIMEOUT)
        )
        # Items of a listing do not repeat what they are.
        frame = {
            "apiVersion": EVENT_SOURCING_ROLLOUT.api_version,
            "kind": EVENT_SOURCING_ROLLOUT.kind,
        }
        return [{**frame, **item} for item in page.get("items", [])]

    async def set_status(
        self, key: Key, uid: str, status: Body, *, version: str | None = None
    ) -> Body | None:
        """Replace the status of exactly this object; returns it, ``None`` when it is gone.

        ``ApiConflict`` when another object has its name by now or, with ``version``, when that is
        not its resourceVersion any more.
        """
        tests = {"/metadata/uid": uid, "/metadata/resourceVersion": version}
        patch = [
            *({"op": "test", "path": path, "value": told} for path, told in tests.items() if told),
            {"op": "add", "path": "/status", "value": status},
        ]
        return await self._changed(
            f"{key.plural}/status",
            self._objects.patch_cluster_custom_object_status(
                *_PATH,
                key.name,
                patch,
                field_manager=COMPONENT,
                _content_type=JSON_PATCH,
                _request_timeout=TIMEOUT,
            ),
        )

    async def annotate(self, name: str, annotations: Body, *, manager: str) -> Body | None:
        """Set annotations as ``manager``; ``None`` when there is no such rollout."""
        return await self._changed(
            EVENT_SOURCING_ROLLOUT.plural,
            self._objects.patch_cluster_custom_object(
                *_PATH,
                name,
                {"metadata": {"annotations": annotations}},
                field_manager=manager,
                _content_type=_MERGE_PATCH,
                _request_timeout=TIMEOUT,
            ),
        )
