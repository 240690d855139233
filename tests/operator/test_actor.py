"""Who is named in the events, and how far that can be trusted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crds.conftest import stamping
from tests.crds.server import Kubectl
from tests.operator.operators import Operator, until
from tests.operator.site import SERVER, Log, Site

from eatool.dev.apiclient import ApiClient
from eatool.dev.controlplane import ControlPlane
from eatool.store.port import RecordedEvent


@pytest.fixture(scope="module")
def settings(crds: None, admin: ApiClient) -> Iterator[dict[str, object]]:
    with stamping(admin):
        yield {"trusted_actor_annotation": True}


@pytest.fixture(scope="module")
def bob(control_plane: ControlPlane, kubectl: Path, site: Site) -> Kubectl:
    site.client.call(
        "POST",
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{site.namespace}/rolebindings",
        {
            "metadata": {"name": "bob"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [{"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}],
        },
    )
    return Kubectl(kubectl, control_plane.kubeconfig_for("bob"), site.namespace)


def told(event: RecordedEvent) -> tuple[str, str, str]:
    return event.actor, event.metadata["trust"], event.metadata["actor_type"]


def test_the_stamped_user_is_named_and_forgeries_are_not(
    operator: Operator, site: Site, log: Log, bob: Kubectl
) -> None:
    ref = site.ref("Server", "db-1")
    forged = {"eatool.io/actor": "mallory", "eatool.io/actor-type": "system"}
    site.create("Server", "db-1", SERVER, annotations=forged)
    site.await_ready("Server", "db-1")
    bob("annotate", "server.eatool.io", "db-1", "eatool.io/actor=mallory", "--overwrite")
    time.sleep(1.1)  # managedFields tell times in seconds; within one, the order is lost
    bob("patch", "server.eatool.io", "db-1", "--type=merge", '-p={"spec":{"region":"north"}}')
    site.await_ready("Server", "db-1")
    bob("annotate", "server.eatool.io", "db-1", "eatool.io/reconcile-requested-at=now")
    until(
        lambda: site.get("Server", "db-1")["status"].get("lastHandledReconcileAt") == "now",
        "the forced reconcile is echoed",
    )
    first, second = log.of(ref)
    assert told(first) == ("admin", "authenticated", "user")
    assert told(second) == ("bob", "authenticated", "user")
    assert second.metadata["field_manager"] == "kubectl-patch"
    annotations = site.get("Server", "db-1")["metadata"]["annotations"]
    assert annotations["eatool.io/actor"] == "bob", "our own patches never change it"


def test_a_reason_travels_with_the_change_and_a_deletion_names_nobody(site: Site, log: Log) -> None:
    site.create("Server", "db-2", SERVER, annotations={"eatool.io/reason": "new data centre"})
    site.await_ready("Server", "db-2")
    site.delete("Server", "db-2")
    site.await_gone("Server", "db-2")
    created, deleted = log.of(site.ref("Server", "db-2"))
    assert created.metadata["reason"] == "new data centre"
    assert "reason" not in deleted.metadata, "that was the reason of another change"
    assert told(deleted) == ("unknown", "observed", "system")
