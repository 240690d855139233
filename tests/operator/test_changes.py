"""Each accepted change once, whatever way it comes; what is no change, never."""

from __future__ import annotations

import time

import pytest
from tests.operator.operators import Operator, until
from tests.operator.site import SERVER, Log, Site, assert_log_is_what_is_declared


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    return {"resync_interval": 5}


def test_create_update_delete_and_create_again_continue_one_stream(
    operator: Operator, site: Site, log: Log
) -> None:
    ref = site.ref("Server", "db-1")
    site.create("Server", "db-1", SERVER)
    body = site.await_ready("Server", "db-1")
    assert body["metadata"]["finalizers"] == ["eatool.io/registry"]
    site.change("Server", "db-1", region="north")
    site.await_ready("Server", "db-1")
    site.change("Server", "db-1", criticality="low", region="south")
    site.await_ready("Server", "db-1")
    site.delete("Server", "db-1")
    site.await_gone("Server", "db-1")
    site.create("Server", "db-1", SERVER)
    assert site.await_ready("Server", "db-1")["status"]["streamVersion"] == 6
    assert log.types(ref) == [
        "ServerCreated.v1",
        "ServerUpdated.v1",
        "ServerCriticalityChanged.v1",
        "ServerUpdated.v1",
        "ServerDeleted.v1",
        "ServerCreated.v1",
    ]
    assert_log_is_what_is_declared(site, log)


def test_a_status_names_the_event(site: Site, log: Log) -> None:
    site.create("Server", "named", SERVER)
    status = site.await_ready("Server", "named")["status"]
    [event] = log.of(site.ref("Server", "named"))
    assert status["lastEventId"] == str(event.event_id)
    assert status["lastEventType"] == "ServerCreated.v1"
    assert status["position"] == event.position
    assert status["acceptedGeneration"] == status["observedGeneration"] == 1


def test_labels_and_annotations_are_no_changes(site: Site, log: Log) -> None:
    site.create("Server", "labelled", SERVER)
    before = site.await_ready("Server", "labelled")
    site.patch("Server", "labelled", {"metadata": {"labels": {"team": "a"}}})
    site.annotate("Server", "labelled", actor="mallory", reason="none")
    site.annotate("Server", "labelled", reconcile_requested_at="first")
    until(
        lambda: site.get("Server", "labelled")["status"].get("lastHandledReconcileAt") == "first",
        "the forced reconcile is echoed",
    )
    assert len(log.of(site.ref("Server", "labelled"))) == 1
    after = site.get("Server", "labelled")["status"]
    assert after == {**before["status"], "lastHandledReconcileAt": "first"}


def test_a_status_edited_by_hand_is_repaired(site: Site, log: Log) -> None:
    site.create("Server", "edited", SERVER)
    good = site.await_ready("Server", "edited")["status"]
    forged = {"status": {"streamVersion": 99, "conditions": [], "warnings": ["forged"]}}
    site.patch("Server", "edited", forged, subresource="status")

    def repaired() -> bool:
        status = site.get("Server", "edited")["status"]
        return bool(status["streamVersion"] == 1 and status["conditions"])

    until(repaired, "the resync repairs the status")
    status = site.get("Server", "edited")["status"]
    assert {**status, "conditions": None} == {**good, "conditions": None}
    assert len(log.of(site.ref("Server", "edited"))) == 1


def test_replace_and_apply_record_what_they_change_only(site: Site, log: Log) -> None:
    site.create("Server", "replaced", SERVER)
    body = site.await_ready("Server", "replaced")
    bare = {"name": "replaced", "resourceVersion": body["metadata"]["resourceVersion"]}
    site.client.call("PUT", site.path("Server", "replaced"), {**body, "metadata": bare})
    time.sleep(1.1)  # managedFields tell times in seconds; within one, the order is lost
    site.apply("Server", "replaced", SERVER)
    site.apply("Server", "replaced", {**SERVER, "region": "north"})
    site.await_ready("Server", "replaced")
    events = log.of(site.ref("Server", "replaced"))
    assert [event.type for event in events] == ["ServerCreated.v1", "ServerUpdated.v1"]
    assert events[-1].metadata["source"] == "gitops"
    assert events[-1].metadata["field_manager"] == "argocd-controller"
    until(
        lambda: site.get("Server", "replaced")["metadata"].get("finalizers"),
        "the finalizer that the replace took off is back",
    )


def test_a_pause_holds_changes_back_until_it_ends(site: Site, log: Log) -> None:
    ref = site.ref("Server", "paused")
    site.create("Server", "paused", SERVER)
    site.await_ready("Server", "paused")
    site.annotate("Server", "paused", paused="true")
    until(lambda: site.condition("Server", "paused", "Paused"), "the pause is told")
    site.change("Server", "paused", region="north")
    site.change("Server", "paused", region="south")
    until(lambda: site.condition("Server", "paused", "Paused"), "the pause is told again")
    assert site.condition("Server", "paused") is None, "Ready speaks of the older generation"
    assert len(log.of(ref)) == 1
    site.annotate("Server", "paused", paused=None)
    site.await_ready("Server", "paused")
    assert site.condition("Server", "paused", "Paused") is None
    events = log.of(ref)
    assert [event.type for event in events] == ["ServerCreated.v1", "ServerUpdated.v1"]
    assert events[-1].data["entity"]["region"] == "south"
    assert site.get("Server", "paused")["status"]["skippedGenerations"] == 1


def test_a_pause_never_holds_a_deletion_back(site: Site, log: Log) -> None:
    site.create("Server", "leaving", SERVER)
    site.await_ready("Server", "leaving")
    site.annotate("Server", "leaving", paused="true")
    site.delete("Server", "leaving")
    site.await_gone("Server", "leaving")
    assert log.types(site.ref("Server", "leaving"))[-1] == "ServerDeleted.v1"


def test_the_log_is_what_is_declared_at_the_end(operator: Operator, site: Site, log: Log) -> None:
    site.await_current()
    assert_log_is_what_is_declared(site, log)
    assert operator.metric("eatool_watch_missed_total") == 0
