"""A whole landscape at once: in any order, watched cluster-wide, waited for with kubectl."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.crds.server import Kubectl
from tests.operator.operators import Operator, until
from tests.operator.site import (
    APPLICATION,
    LANDSCAPE,
    Log,
    Site,
    assert_log_is_what_is_declared,
    landscape,
)

from eatool.dev.controlplane import ControlPlane


@pytest.fixture(scope="module")
def run(control_plane: ControlPlane, kubectl: Path, site: Site) -> Kubectl:
    return Kubectl(kubectl, control_plane.kubeconfig, site.namespace)


def test_the_landscape_comes_in_any_order_and_goes_at_once(
    operator: Operator, site: Site, log: Log, run: Kubectl
) -> None:
    """Nobody polls here: the next look at a waiting object would come in an hour."""
    site.create_all(landscape())
    for kind in sorted({item["kind"] for item in landscape()}):
        run("wait", "--for=condition=Ready", kind.lower(), "--all", "--timeout=60s")
    site.await_current()
    assert_log_is_what_is_declared(site, log)
    assert len(log.all()) == len(landscape())
    assert operator.metric("eatool_pending_references") == 0
    assert operator.metric("eatool_projection_apply_duration_seconds_count") > 0
    assert operator.metric("eatool_store_size_bytes") > 0
    until(
        lambda: operator.metric("eatool_projection_position") == len(landscape()),
        "the read tables have everything",
    )
    assert operator.metric("eatool_projection_state", state="live") == 1

    site.delete_all()
    site.await_empty()
    assert_log_is_what_is_declared(site, log)
    assert len(log.all()) == 2 * len(landscape())


def test_kubectl_applies_twice_and_changes_nothing(
    operator: Operator, site: Site, log: Log, run: Kubectl
) -> None:
    before = len(log.all())
    run("apply", "-f", str(LANDSCAPE))
    site.await_current()
    after = len(log.all())
    assert after - before == len(landscape())
    run("apply", "-f", str(LANDSCAPE))
    site.create("Application", "last", {**APPLICATION, "name": "Last"})
    site.await_ready("Application", "last")
    assert len(log.all()) == after + 1
    assert_log_is_what_is_declared(site, log)


def test_two_objects_that_name_each_other_go_together(site: Site, log: Log) -> None:
    kinds = {item["metadata"]["name"]: item for item in landscape()}
    spec = kinds["journeys"]["spec"]
    site.create("DataEntity", "left", {**spec, "name": "Left", "lineage": []})
    site.create("DataEntity", "right", {**spec, "name": "Right", "lineage": ["left"]})
    site.await_ready("DataEntity", "right")
    site.change("DataEntity", "left", lineage=["right"])
    site.await_ready("DataEntity", "left")
    site.delete("DataEntity", "left")
    site.delete("DataEntity", "right")
    site.await_gone("DataEntity", "left")
    site.await_gone("DataEntity", "right")
    assert log.types(site.ref("DataEntity", "left"))[-1] == "DataEntityDeleted.v1"
