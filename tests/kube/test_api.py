"""What the API client makes of each answer, with scripted ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import kmock as mock
import pytest
from kubernetes.aio import client
from tests.kube.objects_for_tests import server

from eatool.domain.kinds import by_kind
from eatool.kube import requests as module
from eatool.kube.api import EntityApi
from eatool.kube.platform.resources import Key
from eatool.kube.requests import ApiConflict, ApiUnavailable
from eatool.kube.rollout.api import RolloutApi
from eatool.kube.rollout.resource import EVENT_SOURCING_ROLLOUT

SERVER = by_kind("Server")
REF = SERVER.ref("default", "db-1")
COLLECTION = "/apis/eatool.io/v1alpha1/servers"
NAMESPACED = "/apis/eatool.io/v1alpha1/namespaces/default/servers"
OBJECT = f"{NAMESPACED}/db-1"

pytestmark = pytest.mark.kmock(cls=mock.RawHandler)


class Observed:
    """The requests that were measured."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, int]] = []

    def __call__(self, verb: str, resource: str, code: int) -> None:
        self.requests.append((verb, resource, code))


@pytest.fixture
def observed() -> Observed:
    return Observed()


def transport_to(url: str) -> client.ApiClient:
    configuration = client.Configuration()
    configuration.host = url.rstrip("/")
    return client.ApiClient(configuration)


@pytest.fixture
async def api(kmock: mock.RawHandler, observed: Observed) -> AsyncIterator[EntityApi]:
    async with transport_to(str(kmock.url)) as transport:
        yield EntityApi(transport, observed)


async def test_writes_say_who_we_are_and_touch_nothing_else(
    kmock: mock.RawHandler, api: EntityApi, observed: Observed
) -> None:
    kmock[f"patch {OBJECT}"] << server()
    kmock[f"patch {OBJECT}/status"] << server()
    assert await api.set_finalizers(REF, "7", ["a", "b"]) == server()
    assert await api.set_status(REF, "u1", {"position": 1}) == server()
    requests: list[Any] = list(kmock["patch"])
    finalizers, status = requests
    assert finalizers.data == {"metadata": {"resourceVersion": "7", "finalizers": ["a", "b"]}}
    assert status.data == [
        {"op": "test", "path": "/metadata/uid", "value": "u1"},
        {"op": "add", "path": "/status", "value": {"position": 1}},
    ]
    for request, kind in ((finalizers, "merge-patch"), (status, "json-patch")):
        assert request.params["fieldManager"] == "eatool-operator"
        assert request.headers["User-Agent"] == "eatool-operator"
        assert request.headers["Content-Type"] == f"application/{kind}+json"
    assert observed.requests == [("patch", "servers", 200), ("patch", "servers/status", 200)]


async def test_a_status_of_one_version_belongs_to_no_later_one(
    kmock: mock.RawHandler, observed: Observed
) -> None:
    path = "/apis/platform.eatool.io/v1alpha1/eventsourcingrollouts/server/status"
    kmock[f"patch {path}"] << {}
    async with transport_to(str(kmock.url)) as transport:
        api = RolloutApi(transport, observed)
        key = Key(EVENT_SOURCING_ROLLOUT.plural, "server")
        assert await api.set_status(key, "u1", {"phase": "Legacy"}, version="7") == {}
    (request,) = list(kmock["patch"])
    assert request.data == [
        {"op": "test", "path": "/metadata/uid", "value": "u1"},
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/status", "value": {"phase": "Legacy"}},
    ]


async def test_an_object_that_is_gone_is_no_error(
    kmock: mock.RawHandler, api: EntityApi, observed: Observed
) -> None:
    kmock["patch"] << 404
    assert await api.set_status(REF, "u1", {}) is None
    assert await api.set_finalizers(REF, "1", []) is None
    assert [code for _, _, code in observed.requests] == [404, 404]


async def test_a_conflict_is_told_apart(kmock: mock.RawHandler, api: EntityApi) -> None:
    kmock["patch"] << 409
    with pytest.raises(ApiConflict):
        await api.set_finalizers(REF, "1", [])


@pytest.mark.parametrize(
    ("details", "error"),
    [({}, ApiConflict), ({"causes": [{"field": "status.position"}]}, ApiUnavailable)],
)
async def test_a_status_of_another_object_is_a_conflict_an_invalid_one_is_not(
    kmock: mock.RawHandler, api: EntityApi, details: dict[str, Any], error: type[Exception]
) -> None:
    """As the API server tells them apart: ``tests/crds/test_status_writes.py``."""
    kmock["patch"] << 422 << {"kind": "Status", "reason": "Invalid", "details": details}
    with pytest.raises(error):
        await api.set_status(REF, "u1", {})


@pytest.mark.parametrize("code", [401, 403, 410, 429, 500, 503, 504])
async def test_every_other_refusal_is_a_reason_to_come_back(
    kmock: mock.RawHandler, api: EntityApi, observed: Observed, code: int
) -> None:
    kmock["patch"] << code
    with pytest.raises(ApiUnavailable, match=f"HTTP {code}") as caught:
        await api.set_status(REF, "u1", {})
    assert caught.value.retry_after is None
    assert observed.requests == [("patch", "servers/status", code)]


@pytest.mark.parametrize(("value", "seconds"), [("17", 17.0), ("soon", None)])
async def test_retry_after_is_passed_on(
    kmock: mock.RawHandler, api: EntityApi, value: str, seconds: float | None
) -> None:
    kmock["patch"] << 429 << mock.headers({"Retry-After": value})
    with pytest.raises(ApiUnavailable) as caught:
        await api.set_status(REF, "u1", {})
    assert caught.value.retry_after == seconds


async def test_a_silent_server_is_given_up_on(
    kmock: mock.RawHandler, api: EntityApi, observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    kmock["patch"] << (lambda: asyncio.sleep(5))
    with pytest.raises(ApiUnavailable, match="TimeoutError"):
        await api.set_status(REF, "u1", {})
    assert observed.requests == [("patch", "servers/status", 0)]


async def test_a_server_that_is_away_is_given_up_on(observed: Observed) -> None:
    async with transport_to("http://127.0.0.1:1") as transport:
        with pytest.raises(ApiUnavailable):
            await EntityApi(transport, observed).set_status(REF, "u1", {})
    assert observed.requests == [("patch", "servers/status", 0)]


async def test_a_listing_goes_through_all_pages(kmock: mock.RawHandler, api: EntityApi) -> None:
    page = {"metadata": {"continue": "more"}, "items": [server("a")]}
    kmock[f"get {COLLECTION}?continue=more"] << {"metadata": {}, "items": [server("b")]}
    kmock[f"get {COLLECTION}"] << page
    names = [body["metadata"]["name"] async for body in api.list(SERVER, None)]
    assert names == ["a", "b"]


async def test_a_listing_keeps_to_its_namespace(kmock: mock.RawHandler, api: EntityApi) -> None:
    kmock[f"get {NAMESPACED}"] << {"metadata": {}, "items": [server("a")]}
    assert [body async for body in api.list(SERVER, "default")] == [server("a")]


@pytest.mark.parametrize("code", [404, 410, 500])
async def test_a_listing_that_fails_never_looks_empty(
    kmock: mock.RawHandler, api: EntityApi, code: int
) -> None:
    kmock["get"] << code
    with pytest.raises(ApiUnavailable):
        [body async for body in api.list(SERVER, None)]
    with pytest.raises(ApiUnavailable):
        await api.get(REF)


async def test_one_object_is_read_with_the_rights_of_a_watch(
    kmock: mock.RawHandler, api: EntityApi
) -> None:
    kmock[f"get {NAMESPACED}?fieldSelector=metadata.name%3Ddb-1"] << {
        "metadata": {},
        "items": [server()],
    }
    assert await api.get(REF) == server()


async def test_an_absent_object_is_none(kmock: mock.RawHandler, api: EntityApi) -> None:
    kmock[f"get {NAMESPACED}"] << {"metadata": {}, "items": []}
    assert await api.get(REF) is None
