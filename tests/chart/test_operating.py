"""The operator itself with exactly the rights that the chart gives it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.operator.operators import Operator, running, until
from tests.operator.platform_site import PlatformSite
from tests.operator.rollout_site import PATH, RolloutSite, old_registry
from tests.plugins.chart import RELEASE

from eatool.dev.controlplane import ControlPlane
from eatool.dev.ports import free_port
from eatool.kube.platform.resources import EVENT_BROKER


def test_the_rights_suffice_to_operate_brokers(
    control_plane: ControlPlane,
    kubectl: Path,
    release: str,
    operator_service_account_kubeconfig: Path,
    tmp_path: Path,
) -> None:
    admin = control_plane.client()
    site = PlatformSite(admin, release, kubectl, control_plane.kubeconfig)
    until(lambda: admin.request("GET", site.path(EVENT_BROKER)).status == 200, "CRDs are served")
    account = control_plane.client(
        token=control_plane.service_account_token(release, f"{RELEASE}-eatool-operator")
    )
    secrets = f"/api/v1/namespaces/{release}/secrets"
    until(lambda: account.request("GET", secrets).status == 200, "the bindings are in force")
    operator = Operator(operator_service_account_kubeconfig, tmp_path, namespace=release)
    with running(operator):
        site.broker("main", free_port(None), credentials={"basic": {"name": "login"}})
        site.await_reason(EVENT_BROKER, "main", "SecretNotFound")
        site.secret("login", username="a", password="b")
        site.await_reason(EVENT_BROKER, "main", "ConnectionFailed")
        until(lambda: site.events("main"), "an event is posted")
    assert not re.search("Not enough|Forbidden|Unauthorized|HTTP 40[13]", operator.log())


def test_the_rights_suffice_to_decide_about_rollouts(
    control_plane: ControlPlane,
    kubectl: Path,
    release: str,
    operator_service_account_kubeconfig: Path,
    tmp_path: Path,
) -> None:
    site = RolloutSite(control_plane.client(), kubectl, control_plane.kubeconfig)
    until(lambda: site.client.request("GET", PATH).status == 200, "CRDs are served")
    account = control_plane.client(
        token=control_plane.service_account_token(release, f"{RELEASE}-eatool-operator")
    )
    until(lambda: account.request("GET", PATH).status == 200, "the binding is in force")
    old_registry(f"sqlite:///{tmp_path / 'eatool.db'}", "Server")
    operator = Operator(
        operator_service_account_kubeconfig, tmp_path, namespace=release, rollout_interval=0.3
    )
    at_once = {"to": "DualWrite", "autoPromote": True}
    with running(operator):
        site.declare("Server", "DualWrite", transitions=[at_once])
        site.await_status("Server", phase="DualWrite", state="Complete")
        until(lambda: "Promoted" in site.kubectl("get", "events"), "an event is posted")
        site.clear()
    assert not re.search("Not enough|Forbidden|Unauthorized|HTTP 40[13]", operator.log())


def test_without_rights_of_the_cluster_it_says_so_once_and_does_without(
    control_plane: ControlPlane, release: str, tmp_path: Path
) -> None:
    kubeconfig = control_plane.kubeconfig_for("nobody-in-particular", ["editors-of-one-namespace"])
    bind_namespace(control_plane, release, "editors-of-one-namespace")
    operator = Operator(kubeconfig, tmp_path, namespace=release, namespaces=release)
    with running(operator):
        until(lambda: "no right to list" in operator.log(), "it says so")
    assert operator.log().count("no right to list EventSourcingRollouts") == 1


def bind_namespace(control_plane: ControlPlane, namespace: str, group: str) -> None:
    """Everything in one namespace, nothing outside it."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
    binding = {
        "metadata": {"name": group},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
    }
    control_plane.client().call("POST", path, binding)
