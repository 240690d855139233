"""The API requests of the platform's operator, all in one namespace."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from kubernetes.aio import client

from eatool.kube.api import JSON_PATCH, TIMEOUT, RequestObserver, Requests
from eatool.kube.contract import COMPONENT
from eatool.kube.platform.resources import Body, Key, Resource
from eatool.publishing.declared import API_GROUP, API_VERSION

_PAGE = 500


class PlatformApi(Requests):
    """Status of what people declare, ParkedStreams of our own, and the Secrets that are named."""

    def __init__(self, api: client.ApiClient, namespace: str, observe: RequestObserver) -> None:
        super().__init__(api, observe)
        self._transport = api
        self._core: Any = None
        self._namespace = namespace

    async def set_status(
        self, key: Key, uid: str, status: Body, *, version: str | None = None
    ) -> Body | None:
        """Replace the status of exactly this object; returns it, ``None`` when it is gone.

        ``ApiConflict`` when another object has its name by now or, with ``version``, when that is
        not its resourceVersion any more.
        """
        tests = {"/metadata/uid": uid, "/metadata/resourceVersion": version}
        patch = [
            *(
                {"op": "test", "path": path, "value": value}
                for path, value in tests.items()
                if value
            ),
            {"op": "add", "path": "/status", "value": status},
        ]
        return await self._changed(
            f"{key.plural}/status",
            self._objects.patch_namespaced_custom_object_status(
                *self._path(key.plural),
                key.name,
                patch,
                field_manager=COMPONENT,
                _content_type=JSON_PATCH,
                _request_timeout=TIMEOUT,
            ),
        )

    async def create(self, resource: Resource, body: Body) -> Body | None:
        """Create an object; ``ApiConflict`` when it exists."""
        answer = await self._request(
            "create",
            resource.plural,
            self._objects.create_namespaced_custom_object(
                *self._path(resource.plural),
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
                *self._path(key.plural), key.name, _request_timeout=TIMEOUT
            ),
        )

    async def list(self, resource: Resource) -> AsyncIterator[Body]:
        """Every object of a resource, in pages of one consistent snapshot."""
        token: str | None = None
        while True:
            options: Body = {"limit": _PAGE, "_request_timeout": TIMEOUT}
            if token:
                options["_continue"] = token
            page = await self._listed(
                resource.plural,
                self._objects.list_namespaced_custom_object(
                    *self._path(resource.plural), **options
                ),
            )
            for body in page.get("items", []):
                yield body
            token = page.get("metadata", {}).get("continue")
            if not token:
                return

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

    def _path(self, plural: str) -> tuple[str, str, str, str]:
        return API_GROUP, API_VERSION, self._namespace, plural
