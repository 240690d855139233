"""What a reconcile leaves behind: in the queue, and against the echo of its own status write."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import structlog
from tests.kube.objects_for_tests import Body, server
from tests.kube.reconciling import reconciler_of

from eatool.domain.decision import EntityState
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import by_kind
from eatool.kube.contract import FINALIZER
from eatool.kube.objects import Objects
from eatool.kube.requests import ApiConflict
from eatool.kube.workqueue import WorkQueue
from eatool.registry.change import Change
from eatool.registry.outcome import Outcome, Unavailable, Unchanged

REF = by_kind("Server").ref("default", "db-1")


def loud(logged: Sequence[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    """Without the begin and end of each look."""
    return [line for line in logged if line["log_level"] != "debug"]


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


class Retries(WorkQueue[EntityRef]):
    """A queue that notes what it is told of failures."""

    def __init__(self) -> None:
        super().__init__()
        self.retried: list[EntityRef] = []
        self.succeeded_keys: list[EntityRef] = []

    def retry(self, key: EntityRef, *, not_before: float = 0.0) -> float:
        self.retried.append(key)
        return super().retry(key, not_before=not_before)

    def succeeded(self, key: EntityRef) -> None:
        self.succeeded_keys.append(key)
        super().succeeded(key)


class Faulty:
    """A registry with a bug, until it is mended; the error's text holds a value of the spec."""

    def __init__(self) -> None:
        self.mended = False

    async def apply(self, change: Change) -> Outcome:
        if not self.mended:
            raise ValueError(change.spec["hostname"])
        return Unchanged(EntityState(REF, 1), None)

    delete = apply


async def test_a_fault_is_told_to_the_object_and_once_to_the_log() -> None:
    registry, api, objects = Faulty(), Api(server(finalizers=(FINALIZER,))), Objects()
    reconciler = reconciler_of(registry, api, objects)
    objects.observe(REF, api.body)
    with structlog.testing.capture_logs() as logged:
        await reconciler.process(REF)
        told, version = api.body["status"], api.body["metadata"]["resourceVersion"]
        assert not objects.observe(REF, api.body), "our own write calls for no work"
        await reconciler.process(REF)
    conditions = {each["type"]: each for each in told["conditions"]}
    assert {name: (each["status"], each["reason"]) for name, each in conditions.items()} == {
        "Ready": ("Unknown", "InternalError"),
        "Reconciling": ("True", "InternalError"),
    }
    (line,) = loud(logged)
    assert isinstance(line["exc_info"], ValueError)
    assert conditions["Ready"]["message"].endswith(f"under {line['trace_id']}")
    assert "db-1.example" not in str(told)
    assert api.body["metadata"]["resourceVersion"] == version, "written once"
    registry.mended = True
    await reconciler.process(REF)
    assert api.body["status"]["conditions"][0]["reason"] == "Recorded"
    registry.mended = False
    api.body = server(version=20, generation=2, finalizers=(FINALIZER,))
    objects.observe(REF, api.body)
    with structlog.testing.capture_logs() as logged:
        await reconciler.process(REF)
    assert len(loud(logged)) == 1, "a fault that comes back is news"


async def test_a_fault_is_retried_with_growing_pauses() -> None:
    registry, api, objects = Faulty(), Api(server(finalizers=(FINALIZER,))), Objects()
    queue = Retries()
    reconciler = reconciler_of(registry, api, objects, queue)
    objects.observe(REF, api.body)
    for _ in range(4):
        await reconciler.process(REF)
    assert queue.retried == [REF] * 4
    registry.mended = True
    await reconciler.process(REF)
    assert queue.retried == [REF] * 4
    assert queue.succeeded_keys == [REF]


async def test_a_fault_leaves_ready_what_is_recorded_and_tells_of_a_deletion() -> None:
    ready = {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Recorded",
                "message": "Recorded as version 1",
                "observedGeneration": 1,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
    }
    for deleted, reason in ((False, "Recorded"), (True, "InternalError")):
        body = server(finalizers=(FINALIZER,), status=ready, deleted=deleted)
        api, objects = Api(body), Objects()
        objects.observe(REF, body)
        await reconciler_of(Faulty(), api, objects).process(REF)
        assert api.body["status"]["conditions"][0]["reason"] == reason


async def test_a_fault_that_cannot_be_told_is_logged_all_the_same() -> None:
    class Mute(Api):
        async def set_status(self, ref: EntityRef, uid: str, status: dict[str, Any]) -> Body | None:
            raise RuntimeError("no")

    objects, api = Objects(), Mute(server(finalizers=(FINALIZER,)))
    objects.observe(REF, api.body)
    with structlog.testing.capture_logs() as logged:
        await reconciler_of(Faulty(), api, objects).process(REF)
    found = [line["event"] for line in loud(logged)]
    assert found == ["reconcile failed", "cannot tell the object"]
