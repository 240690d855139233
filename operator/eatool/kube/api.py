"""The few API requests the operator makes itself, on the official client.

kopf watches; these writes go beside it because a change that waits for another object must be
able to finish without a watch event of its own, and kopf applies patches only at the end of one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, cast

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.kube.contract import COMPONENT

#: A Kubernetes object as JSON.
Body = dict[str, Any]

_MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
_PAGE = 500
#: Seconds for one request; the client's own default, five minutes, would block a worker as long.
TIMEOUT = 30.0


class ApiConflict(Exception):
    """The object changed since it was read (409); a newer version is on its way."""


class ApiUnavailable(Exception):
    """The API server cannot answer now; ``retry_after`` seconds when it said so."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class NotServed(ApiUnavailable):
    """The resource is unknown to the API server: its CustomResourceDefinition is away."""


#: Called with verb, resource ("applications" or "applications/status") and HTTP status.
RequestObserver = Callable[[str, str, int], None]


class Requests:
    """One way for every request: measured, with time limits, faults told in our own terms."""

    def __init__(self, api: client.ApiClient, observe: RequestObserver) -> None:
        api.user_agent = COMPONENT
        self._objects = client.CustomObjectsApi(api)
        self._events = client.EventsV1Api(api)
        self._observe = observe

    async def post_event(self, namespace: str, event: Body) -> object:
        """Create a Kubernetes event (``events.k8s.io/v1``)."""
        return await self._request(
            "create",
            "events",
            self._events.create_namespaced_event(namespace, event, _request_timeout=TIMEOUT),
        )

    async def _changed(self, resource: str, call: Awaitable[object]) -> Body | None:
        return cast("Body | None", await self._request("patch", resource, call))

    async def _listed(self, plural: str, call: Awaitable[object]) -> Body:
        page = await self._request("list", plural, call)
        if page is None:
            # No such resource: its CRD is away. That must not pass for "no objects".
            raise NotServed(f"list {plural}: not served")
        return cast("Body", page)

    async def _request(self, verb: str, resource: str, call: Awaitable[object]) -> Any:
        """The answer; ``None`` for 404, else :class:`ApiConflict` or :class:`ApiUnavailable`."""
        try:
            body = await call
        except ApiException as error:
            self._observe(verb, resource, error.status)
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            if error.status == HTTPStatus.CONFLICT or _test_failed(error):
                raise ApiConflict(f"{verb} {resource}: {error.reason}") from error
            raise ApiUnavailable(
                f"{verb} {resource}: HTTP {error.status} {error.reason}", _retry_after(error)
            ) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self._observe(verb, resource, 0)
            raise ApiUnavailable(f"{verb} {resource}: {type(error).__name__}") from error
        self._observe(verb, resource, 201 if verb == "create" else 200)
        return body


class EntityApi(Requests):
    """Finalizers, status and listings of the registry's kinds."""

    async def set_finalizers(
        self, ref: EntityRef, resource_version: str, finalizers: Sequence[str]
    ) -> Body | None:
        """Replace the finalizers of exactly this version of the object.

        Returns the object after it, or ``None`` when it is gone; raises :class:`ApiConflict`.
        """
        kind = KINDS[ref.aggregate_type]
        metadata = {"resourceVersion": resource_version, "finalizers": list(finalizers)}
        return await self._changed(
            kind.plural,
            self._objects.patch_namespaced_custom_object(
                *self._path(kind, ref),
                {"metadata": metadata},
                field_manager=COMPONENT,
                _content_type=_MERGE_PATCH,
                _request_timeout=TIMEOUT,
            ),
        )

    async def set_status(self, ref: EntityRef, uid: str, status: Body) -> Body | None:
        """Replace the status of exactly this object, whatever its version.

        Returns the object after it, or ``None`` when it is gone; raises :class:`ApiConflict` when
        another object has its name by now. A merge patch could not say so: a custom resource's
        status ignores ``metadata.uid``, and a resourceVersion would refuse every unrelated edit.
        """
        kind = KINDS[ref.aggregate_type]
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        return await self._changed(
            f"{kind.plural}/status",
            self._objects.patch_namespaced_custom_object_status(
                *self._path(kind, ref),
                patch,
                field_manager=COMPONENT,
                _content_type=JSON_PATCH,
                _request_timeout=TIMEOUT,
            ),
        )

    async def get(self, ref: EntityRef) -> Body | None:
        """The object as it is now (a consistent read); ``None`` when there is none.

        A listing of one: the operator needs no right beyond those of its watches.
        """
        kind = KINDS[ref.aggregate_type]
        call = self._objects.list_namespaced_custom_object(
            kind.api_group,
            kind.api_version,
            ref.namespace,
            kind.plural,
            field_selector=f"metadata.name={ref.name}",
            _request_timeout=TIMEOUT,
        )
        items = (await self._listed(kind.plural, call))["items"]
        return items[0] if items else None

    async def list(self, kind: EntityKind, namespace: str | None) -> AsyncIterator[Body]:
        """Every object of a kind, in pages of one consistent snapshot."""
        token: str | None = None
        while True:
            options: Body = {"limit": _PAGE, "_request_timeout": TIMEOUT}
            if token:
                options["_continue"] = token
            group, version = kind.api_group, kind.api_version
            call = (
                self._objects.list_cluster_custom_object(group, version, kind.plural, **options)
                if namespace is None
                else self._objects.list_namespaced_custom_object(
                    group, version, namespace, kind.plural, **options
                )
            )
            page = await self._listed(kind.plural, call)
            for body in page.get("items", []):
                yield body
            token = page.get("metadata", {}).get("continue")
            if not token:
                return

    @staticmethod
    def _path(kind: EntityKind, ref: EntityRef) -> tuple[str, str, str, str, str]:
        return kind.api_group, kind.api_version, ref.namespace, kind.plural, ref.name


def _test_failed(error: ApiException) -> bool:
    """A ``test`` of a JSON patch did not hold; an invalid object is a 422 with causes."""
    return error.status == HTTPStatus.UNPROCESSABLE_ENTITY and "causes" not in str(error.body)


def _retry_after(error: ApiException) -> float | None:
    value = (error.headers or {}).get("Retry-After")
    return float(value) if value is not None and value.isdigit() else None
