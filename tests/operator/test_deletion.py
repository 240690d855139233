"""Deletions are recorded, whatever happens on the way; objects leave when the log has it."""

from __future__ import annotations

from tests.kube.kstatus import kstatus
from tests.operator.operators import Operator, until
from tests.operator.site import APPLICATION, SERVER, Log, Site, assert_log_is_what_is_declared


def test_a_blocked_deletion_says_by_what_and_completes_when_it_goes(
    operator: Operator, site: Site, log: Log
) -> None:
    site.create("Organization", "parent", {"name": "Parent"})
    site.create("Organization", "child", {"name": "Child", "parentId": "parent"})
    site.await_ready("Organization", "child")
    site.delete("Organization", "parent")
    blocked = site.await_reason("Organization", "parent", "DeleteBlocked")
    assert kstatus(blocked) == "Terminating"
    assert "Organization/child" in site.message("Organization", "parent")
    site.patch("Organization", "child", {"spec": {"parentId": None}})
    site.await_gone("Organization", "parent")
    assert log.types(site.ref("Organization", "parent"))[-1] == "OrganizationDeleted.v1"


def test_what_was_never_recorded_leaves_without_a_trace(site: Site, log: Log) -> None:
    site.create("Organization", "waiting", {"name": "Waiting", "parentId": "nobody"})
    site.await_reason("Organization", "waiting", "ReferenceNotFound")
    site.delete("Organization", "waiting")
    site.await_gone("Organization", "waiting")
    assert log.of(site.ref("Organization", "waiting")) == []


def test_the_finalizer_is_there_before_the_first_event(site: Site, log: Log) -> None:
    site.create("Server", "held", SERVER)
    site.await_ready("Server", "held")
    managers = site.get("Server", "held")["metadata"]["managedFields"]
    assert {item["manager"] for item in managers} == {"tests", "eatool-operator"}
    [event] = log.of(site.ref("Server", "held"))
    assert event.metadata["field_manager"] == "tests"


def test_a_deletion_forced_by_hand_is_recorded_all_the_same(site: Site, log: Log) -> None:
    site.create("Server", "forced", SERVER)
    site.await_ready("Server", "forced")
    site.patch("Server", "forced", {"metadata": {"finalizers": None}})
    site.delete("Server", "forced")
    ref = site.ref("Server", "forced")
    until(lambda: log.types(ref)[-1:] == ["ServerDeleted.v1"], "the deletion is recorded")
    until(lambda: site.find("Server", "forced") is None, "the object is gone")


def test_a_foreign_finalizer_delays_the_object_and_not_the_event(site: Site, log: Log) -> None:
    site.create("Server", "shared", SERVER, finalizers=["example.org/other"])
    site.await_ready("Server", "shared")
    site.delete("Server", "shared")
    ref = site.ref("Server", "shared")
    until(lambda: log.types(ref)[-1:] == ["ServerDeleted.v1"], "the deletion is recorded")
    until(
        lambda: site.get("Server", "shared")["metadata"]["finalizers"] == ["example.org/other"],
        "our finalizer is off",
    )
    site.patch("Server", "shared", {"metadata": {"finalizers": None}})
    site.await_gone("Server", "shared")
    site.create("Server", "shared", SERVER)
    site.await_ready("Server", "shared")
    assert len(log.of(ref)) == 3


def test_delete_and_create_again_in_one_breath(site: Site, log: Log) -> None:
    for round_ in range(5):
        site.create("Application", "phoenix", {**APPLICATION, "name": f"Phoenix {round_}"})
        site.await_ready("Application", "phoenix")
        site.delete("Application", "phoenix")
        site.await_gone("Application", "phoenix")
    versions = [event.version for event in log.of(site.ref("Application", "phoenix"))]
    assert versions == list(range(1, 11))


def test_the_log_is_what_is_declared_at_the_end(site: Site, log: Log) -> None:
    site.await_current()
    assert_log_is_what_is_declared(site, log)
