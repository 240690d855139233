"""Without the admission policy, and with nothing but a Role: what is seen is called observed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.operator.conftest import new_site
from tests.operator.operators import Operator, running, until
from tests.operator.site import APPLICATION, SERVER, Log, Site

from eatool.dev.apiclient import ApiClient
from eatool.dev.controlplane import ControlPlane
from eatool.domain.kinds import KINDS

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"


def _grant(admin: ApiClient, site: Site, user: str) -> None:
    plurals = [kind.plural for kind in KINDS.values()]
    rules = [
        {"apiGroups": ["eatool.io"], "resources": plurals, "verbs": ["list", "watch", "patch"]},
        {
            "apiGroups": ["eatool.io"],
            "resources": [f"{plural}/status" for plural in plurals],
            "verbs": ["patch"],
        },
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
        {
            "apiGroups": ["platform.eatool.io"],
            "resources": ["eventbrokers", "eventreplays", "parkedstreams"],
            "verbs": ["list", "watch"],
        },
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]},
    ]
    path = f"{RBAC}/{site.namespace}"
    admin.call("POST", f"{path}/roles", {"metadata": {"name": user}, "rules": rules})
    group = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": user},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": user},
        "subjects": [{"kind": "User", "name": user, "apiGroup": group}],
    }
    admin.call("POST", f"{path}/rolebindings", binding)


@pytest.fixture(scope="module")
def operator(
    control_plane: ControlPlane, admin: ApiClient, directory: Path, site: Site
) -> Iterator[Operator]:
    """An operator that has a Role in one namespace, and no other right."""
    _grant(admin, site, "eatool")
    kubeconfig = control_plane.kubeconfig_for("eatool")
    own = {"namespaces": site.namespace, "namespace": site.namespace}
    with running(Operator(kubeconfig, directory, **own)) as operator:
        yield operator


def test_a_role_is_enough(operator: Operator, site: Site, log: Log) -> None:
    site.create("Server", "db-1", SERVER)
    site.await_ready("Server", "db-1")
    site.create("Application", "one", APPLICATION)
    site.await_ready("Application", "one")
    site.create("Application", "two", APPLICATION)
    site.await_reason("Application", "two", "AlreadyExists")
    site.delete("Server", "db-1")
    site.await_gone("Server", "db-1")
    assert len(log.of(site.ref("Server", "db-1"))) == 2
    assert '"code":403' not in operator.log()
    assert "Forbidden" not in operator.log()
    # Rollouts belong to the cluster: that they are done without is said, once.
    assert operator.log().count("no right to list EventSourcingRollouts") == 1


def test_other_namespaces_are_left_alone(
    operator: Operator, admin: ApiClient, site: Site, log: Log
) -> None:
    elsewhere = new_site(admin)
    elsewhere.create("Server", "db-1", SERVER)
    site.create("Server", "db-2", SERVER)
    site.await_ready("Server", "db-2")
    untouched = elsewhere.get("Server", "db-1")
    assert "finalizers" not in untouched["metadata"]
    assert untouched["status"] == {"observedGeneration": -1}
    assert log.all(elsewhere.namespace) == []


def test_a_forged_actor_is_not_believed(site: Site, log: Log) -> None:
    site.create("Server", "db-3", SERVER, annotations={"eatool.io/actor": "mallory"})
    site.await_ready("Server", "db-3")
    time.sleep(1.1)  # managedFields tell times in seconds; within one, the order is lost
    site.apply("Server", "db-3", {**SERVER, "region": "north"}, manager="kustomize-controller")
    site.await_ready("Server", "db-3")
    until(lambda: len(log.of(site.ref("Server", "db-3"))) == 2, "the change is recorded")
    first, second = log.of(site.ref("Server", "db-3"))
    assert (first.actor, first.metadata["trust"]) == ("tests", "observed")
    assert (second.actor, second.metadata["trust"]) == ("kustomize-controller", "observed")
    assert second.metadata["source"] == "gitops"
