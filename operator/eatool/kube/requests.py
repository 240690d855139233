"""One way for every API request the operator makes itself, on the official client.

kopf watches; these requests go beside it because a change that waits for another object must be
able to finish without a watch event of its own, and kopf applies patches only at the end of one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, NamedTuple, cast

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from eatool.kube.contract import COMPONENT

#: A Kubernetes object as JSON.
Body = dict[str, Any]

#: Seconds for one request; the client's own default, five minutes, would block a worker as long.
TIMEOUT = 30.0

_MERGE_PATCH: Final = "application/merge-patch+json"
_JSON_PATCH: Final = "application/json-patch+json"
_PAGE: Final = 500


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


class Place(NamedTuple):
    """Where objects of one resource are: in a namespace or, without, in the whole cluster."""

    group: str
    version: str
    plural: str
    namespace: str | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """First arguments of the client's methods, ``namespaced`` or ``cluster`` ones."""
        if self.namespace is None:
            return self.group, self.version, self.plural
        return self.group, self.version, self.namespace, self.plural


class Requests:
    """Requests that are measured, have time limits, and tell of faults in our own terms."""

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

    async def _merge(
        self, place: Place, name: str, changes: Body, *, manager: str = COMPONENT
    ) -> Body | None:
        """Merge ``changes`` into an object; returns it, ``None`` when there is none.

        ``ApiConflict`` when ``changes`` name another resourceVersion than it has.
        """
        objects = self._objects
        patch = (
            objects.patch_cluster_custom_object
            if place.namespace is None
            else objects.patch_namespaced_custom_object
        )
        call = patch(
            *place.path,
            name,
            changes,
            field_manager=manager,
            _content_type=_MERGE_PATCH,
            _request_timeout=TIMEOUT,
        )
        return cast("Body | None", await self._request("patch", place.plural, call))

    async def _replace_status(
        self, place: Place, name: str, uid: str, status: Body, *, version: str | None = None
    ) -> Body | None:
        """Replace the status of exactly this object; returns it, ``None`` when it is gone.

        ``ApiConflict`` when another object has its name by now or, with ``version``, when that is
        not its resourceVersion any more. A merge patch could not say so: a custom resource's
        status ignores ``metadata.uid``, and a resourceVersion would refuse every unrelated edit.
        """
        tests = {"/metadata/uid": uid, "/metadata/resourceVersion": version}
        changes = [
            *(
                {"op": "test", "path": path, "value": known}
                for path, known in tests.items()
                if known
            ),
            {"op": "add", "path": "/status", "value": status},
        ]
        objects = self._objects
        patch = (
            objects.patch_cluster_custom_object_status
            if place.namespace is None
            else objects.patch_namespaced_custom_object_status
        )
        call = patch(
            *place.path,
            name,
            changes,
            field_manager=COMPONENT,
            _content_type=_JSON_PATCH,
            _request_timeout=TIMEOUT,
        )
        return cast("Body | None", await self._request("patch", f"{place.plural}/status", call))

    async def _pages(self, place: Place) -> AsyncIterator[Body]:
        """Every object there, in pages of one consistent snapshot."""
        token: str | None = None
        while True:
            options: Body = {"limit": _PAGE} | ({"_continue": token} if token else {})
            page = await self._listed(place, **options)
            for body in page.get("items", []):
                yield body
            token = page.get("metadata", {}).get("continue")
            if not token:
                return

    async def _listed(self, place: Place, **options: object) -> Body:
        """One answer to a listing; ``NotServed`` when there is no such resource."""
        objects = self._objects
        listing = (
            objects.list_cluster_custom_object
            if place.namespace is None
            else objects.list_namespaced_custom_object
        )
        call = listing(*place.path, _request_timeout=TIMEOUT, **options)
        page = await self._request("list", place.plural, call)
        if page is None:
            # No such resource: its CRD is away. That must not pass for "no objects".
            raise NotServed(f"list {place.plural}: not served")
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


def _test_failed(error: ApiException) -> bool:
    """A ``test`` of a JSON patch did not hold; an invalid object is a 422 with causes."""
    return error.status == HTTPStatus.UNPROCESSABLE_ENTITY and "causes" not in str(error.body)


def _retry_after(error: ApiException) -> float | None:
    value = (error.headers or {}).get("Retry-After")
    return float(value) if value is not None and value.isdigit() else None
