"""What a reconcile leaves behind: in the queue, and against the echo of its own status write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.kube.objects_for_tests import Body, server
from tests.kube.reconciling import reconciler_of

from eatool.domain.identity import EntityRef
from eatool.domain.kinds import by_kind
from eatool.kube.contract import FINALIZER
from eatool.kube.objects import Objects
from eatool.kube.requests import ApiConflict
from eatool.registry.change import Change
from eatool.registry.outcome import Outcome, Unavailable

REF = by_kind("Server").ref("default", "db-1")


class Outage:
    """A registry whose store is away, for a reason that reads differently each time."""

    def __init__(self) -> None:
        self.asked = 0

    async def apply(self, _change: Change) -> Outcome:
        self.asked += 1
        return Unavailable(f"failure {self.asked}", 5.0)


class Api:
    """One object; a status write gives it a new version, as the API server does."""

    def __init__(self, body: Body) -> None:
        self.body = body

    async def get(self, ref: EntityRef) -> Body | None:
        return self.body

    async def set_finalizers(
        self, ref: EntityRef, resource_version: str, finalizers: Sequence[str]
    ) -> Body | None:
        raise AssertionError("it is held already")

    async def set_status(self, ref: EntityRef, uid: str, status: dict[str, Any]) -> Body | None:
        metadata = self.body["metadata"]
        if metadata["uid"] != uid:
            raise ApiConflict(uid)
        version = str(int(metadata["resourceVersion"]) + 1)
        self.body = {
            **self.body,
            "metadata": {**metadata, "resourceVersion": version},
            "status": status,
        }
        return self.body


async def test_a_status_never_lands_on_the_next_object_of_that_name() -> None:
    registry, api = Outage(), Api(server(finalizers=(FINALIZER,)))
    objects = Objects()
    reconciler = reconciler_of(registry, api, objects)
    objects.observe(REF, api.body)
    api.body = created_anew = server(uid="u2", version=7)
    await reconciler.process(REF)
    assert api.body == created_anew, "what it says is left to the reconcile of its own"


async def test_the_echo_of_a_status_does_not_cut_the_backoff_of_an_outage_short() -> None:
    registry, api = Outage(), Api(server(finalizers=(FINALIZER,)))
    objects = Objects()
    reconciler = reconciler_of(registry, api, objects)
    assert objects.observe(REF, api.body)
    await reconciler.process(REF)
    assert registry.asked == 1
    assert api.body["status"]["conditions"][0]["reason"] == "StoreUnavailable"
    assert not objects.observe(REF, api.body), "our own write calls for no work"
    edited = server(version=9, generation=2, finalizers=(FINALIZER,))
    assert objects.observe(REF, edited), "an edit is looked at without waiting"
