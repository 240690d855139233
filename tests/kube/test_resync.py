"""The comparison with a listing: what a deaf watch missed is found, nothing dead comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.kube.objects_for_tests import server

from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import by_kind
from eatool.kube.api import EntityApi
from eatool.kube.objects import Objects
from eatool.kube.requests import ApiUnavailable
from eatool.kube.resync import Resync
from eatool.settings import Settings
from eatool.telemetry.metrics import NullMetrics

Body = dict[str, Any]
SERVER = by_kind("Server")


def ref(name: str) -> EntityRef:
    return SERVER.ref("default", name)


class Metrics(NullMetrics):
    def __init__(self) -> None:
        self.missed: Counter[str] = Counter()
        setattr(self, "watch_missed", self._count)  # noqa: B010 - it is a static method there

    def _count(self, entity: str, objects: int) -> None:
        self.missed[entity] += objects


class Api(EntityApi):
    """An API server of servers; ``afterwards`` happens right after they were listed."""

    def __init__(self, *bodies: Body) -> None:
        self.bodies = {ref(body["metadata"]["name"]): body for body in bodies}
        self.afterwards: Callable[[], None] = lambda: None
        self.away = False

    async def list(self, kind: EntityKind, namespace: str | None) -> AsyncIterator[Body]:
        if self.away:
            raise ApiUnavailable("away")
        for body in list(self.bodies.values()) if kind is SERVER else ():
            yield body
        if kind is SERVER:
            self.afterwards()

    async def get(self, ref: EntityRef) -> Body | None:
        return self.bodies.get(ref)


class Watching:
    """What the operator knows, and what it was told."""

    def __init__(self, *bodies: Body) -> None:
        self.objects = Objects()
        for body in bodies:
            self.objects.observe(ref(body["metadata"]["name"]), body)
        self.reconsidered: list[str] = []
        self.taken: list[str] = []
        self.gone: list[str] = []

    def refs(self) -> list[EntityRef]:
        return list(self.objects)

    def known(self, ref: EntityRef) -> Body | None:
        return self.objects.get(ref)

    def observe(self, ref: EntityRef, body: Body) -> None:
        self.objects.observe(ref, body)
        self.taken.append(ref.name)

    def vanished(self, ref: EntityRef, body: Body) -> None:
        self.objects.vanished(ref, body)
        self.gone.append(ref.name)

    def reconsider(self, ref: EntityRef) -> None:
        self.reconsidered.append(ref.name)


def resync(watching: Watching, api: Api, metrics: Metrics | None = None) -> Resync:
    return Resync(watching, api, metrics or Metrics(), Settings(resync_interval=5), grace=0.01)


async def test_what_the_watches_delivered_is_reconsidered_from_the_second_time_on() -> None:
    watching = Watching(server("a"), server("b"))
    sync = resync(watching, Api(server("a"), server("b")))
    assert sync.complaint() == "the first comparison with a listing has not finished"
    await sync.once()
    assert watching.reconsidered == []
    await sync.once()
    assert watching.reconsidered == ["a", "b"]
    assert sync.complaint() is None


async def test_what_a_deaf_watch_missed_is_taken_counted_and_complained_about() -> None:
    watching, metrics = Watching(server("changed", version=1)), Metrics()
    api = Api(server("changed", version=2), server("new", version=3))
    sync = resync(watching, api, metrics)
    await sync.once()
    assert sorted(watching.taken) == ["changed", "new"]
    assert metrics.missed["server"] == 2
    assert sync.complaint() == "watches deliver nothing for server"
    await sync.once()
    assert sync.complaint() is None


async def test_a_deletion_that_a_deaf_watch_missed_is_found() -> None:
    watching, metrics = Watching(server("a")), Metrics()
    await resync(watching, Api(), metrics).once()
    assert watching.gone == ["a"]
    assert metrics.missed["server"] == 1


async def test_a_watch_that_only_lags_is_not_called_deaf() -> None:
    watching, metrics = Watching(), Metrics()
    newest = server("a", version=2)
    api = Api(newest)

    def deliver() -> None:
        watching.objects.observe(ref("a"), newest)

    api.afterwards = deliver
    sync = resync(watching, api, metrics)
    await sync.once()
    assert sync.complaint() is None
    assert metrics.missed["server"] == 0


async def test_an_object_released_since_the_listing_does_not_come_back() -> None:
    watching, metrics = Watching(server("a", version=1)), Metrics()
    api = Api(server("a", version=2))

    def release() -> None:
        api.bodies.clear()
        watching.objects.forget(ref("a"))

    api.afterwards = release
    await resync(watching, api, metrics).once()
    assert (watching.taken, watching.gone) == ([], [])
    assert metrics.missed["server"] == 0


async def test_an_object_created_since_the_listing_has_not_vanished() -> None:
    watching, api = Watching(), Api()
    created = server("a")

    def create() -> None:
        api.bodies[ref("a")] = created
        watching.objects.observe(ref("a"), created)

    api.afterwards = create
    await resync(watching, api).once()
    assert watching.gone == []


async def test_an_api_server_that_cannot_list_settles_nothing() -> None:
    watching = Watching(server("a"))
    api = Api(server("a"))
    api.away = True
    sync = resync(watching, api)
    with pytest.raises(ApiUnavailable):
        await sync.once()
    assert watching.gone == []
    assert sync.complaint() is not None
