"""Objects that need others: woken by what heals them, never polled (the re-check is an hour)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.kube.kstatus import kstatus
from tests.operator.operators import Operator
from tests.operator.site import APPLICATION, Log, Site, assert_log_is_what_is_declared


def organization(name: str, parent: str | None = None) -> dict[str, Any]:
    return {"name": name, **({"parentId": parent} if parent else {})}


def test_a_waiting_object_is_woken_by_the_arrival_of_its_target(
    operator: Operator, site: Site, log: Log
) -> None:
    site.create("Organization", "child", organization("Child", "parent"))
    waiting = site.await_reason("Organization", "child", "ReferenceNotFound")
    assert kstatus(waiting) == "InProgress"
    assert waiting["status"]["waitingFor"] == ["Organization/parent"]
    assert log.of(site.ref("Organization", "child")) == []
    site.create("Organization", "parent", organization("Parent"))
    healed = site.await_ready("Organization", "child")
    assert kstatus(healed) == "Current"
    assert "waitingFor" not in healed["status"]
    assert_log_is_what_is_declared(site, log)


def test_new_objects_in_a_circle_stall_and_go_on_when_it_opens(site: Site, log: Log) -> None:
    site.create("Organization", "egg", organization("Egg", "hen"))
    site.create("Organization", "hen", organization("Hen", "egg"))
    site.await_reason("Organization", "hen", "CircularReference")
    assert kstatus(site.get("Organization", "hen")) == "Failed"
    site.patch("Organization", "hen", {"spec": {"parentId": None}})
    site.await_ready("Organization", "hen")
    site.await_ready("Organization", "egg")
    assert_log_is_what_is_declared(site, log)


def _duplicate(site: Site, heal: Callable[[], object], first: str, second: str) -> None:
    title = f"Same as {first}"
    site.create("Application", first, {**APPLICATION, "name": title})
    site.await_ready("Application", first)
    site.create("Application", second, {**APPLICATION, "name": title.upper()})
    assert kstatus(site.await_reason("Application", second, "AlreadyExists")) == "Failed"
    heal()
    site.await_ready("Application", second)


def test_a_duplicate_is_woken_when_the_holder_gets_another_name(site: Site, log: Log) -> None:
    _duplicate(site, lambda: site.change("Application", "one", name="Other"), "one", "two")
    assert_log_is_what_is_declared(site, log)


def test_a_duplicate_is_woken_when_the_holder_is_deleted(site: Site, log: Log) -> None:
    _duplicate(site, lambda: site.delete("Application", "three"), "three", "four")
    site.await_gone("Application", "three")
    assert_log_is_what_is_declared(site, log)


def test_transitions_are_announced_as_kubernetes_events(site: Site) -> None:
    """One for each complaint and one for each recovery; none for waiting or passing."""
    path = f"/apis/events.k8s.io/v1/namespaces/{site.namespace}/events"
    told = {
        (item["regarding"]["name"], item["type"], item["reason"])
        for item in site.client.call("GET", path)["items"]
    }
    assert ("two", "Warning", "AlreadyExists") in told
    assert ("two", "Normal", "Recorded") in told
    assert not [item for item in told if item[0] in ("parent", "child", "one", "three")]
