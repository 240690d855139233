"""The API requests about what is declared in the platform group."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from kubernetes.aio import client

from eatool.kube.contract import COMPONENT
from eatool.kube.platform.resources import Body, Key, Resource
from eatool.kube.requests import TIMEOUT, Place, RequestObserver, Requests
from eatool.publishing.declared import API_GROUP, API_VERSION


class DeclaredApi(Requests):
    """Listings and statuses of the group's resources, in one namespace or of the cluster."""

    def __init__(
        self, api: client.ApiClient, observe: RequestObserver, *, namespace: str | None
    ) -> None:
        super().__init__(api, observe)
        self._namespace = namespace

    async def list(self, resource: Resource) -> AsyncIterator[Body]:
        """Every object of a resource, in pages of one consistent snapshot."""
        # Items of a listing do not repeat what they are.
        frame = {"apiVersion": resource.api_version, "kind": resource.kind}
        async for item in self._pages(self._place(resource.plural)):
            yield {**frame, **item}

    async def set_status(
        self, key: Key, uid: str, status: Body, *, version: str | None = None
    ) -> Body | None:
        """Replace the status of exactly this object; returns it, ``None`` when it is gone.

        ``ApiConflict`` when another object has its name by now or, with ``version``, when that is
        not its resourceVersion any more.
        """
        place = self._place(key.plural)
        return await self._replace_status(place, key.name, uid, status, version=version)

    def _place(self, plural: str) -> Place:
        return Place(API_GROUP, API_VERSION, plural, self._namespace)


class PlatformApi(DeclaredApi):
    """ParkedStreams of our own too, and the Secrets that are named; all in one namespace."""

    def __init__(self, api: client.ApiClient, namespace: str, observe: RequestObserver) -> None:
        super().__init__(api, observe, namespace=namespace)
        self._transport = api
        self._core: Any = None

    async def create(self, resource: Resource, body: Body) -> Body | None:
        """Create an object; ``ApiConflict`` when it exists."""
        answer = await self._request(
            "create",
            resource.plural,
            self._objects.create_namespaced_custom_object(
                *self._place(resource.plural).path,
                body,
                field_manager=COMPONENT,
                _request_timeout=TIMEOUT,
            ),
        )
        return cast("Body | None", answer)

    async def delete(self, key: Key) -> None:
        """Delete an object; fine when there is none."""
        await self._request(
            "delete",
            key.plural,
            self._objects.delete_namespaced_custom_object(
                *self._place(key.plural).path, key.name, _request_timeout=TIMEOUT
            ),
        )

    async def secret(self, name: str) -> Mapping[str, bytes] | None:
        """Data of a Secret, decoded; ``None`` when there is none. Nobody may log it."""
        if self._core is None:
            # It loads every model of the core group, most of a second that no start has to wait.
            self._core = await asyncio.to_thread(client.CoreV1Api, self._transport)
        secret: Any = await self._request(
            "get",
            "secrets",
            self._core.read_namespaced_secret(name, self._namespace, _request_timeout=TIMEOUT),
        )
        if secret is None:
            return None
        return {key: base64.b64decode(value) for key, value in (secret.data or {}).items()}
