"""The control plane is a real one: versions, RBAC, admission policies, tokens."""

import json
import stat
import subprocess
import time
from pathlib import Path

import pytest

from eatool.dev.apiclient import ApiClient, ApiError
from eatool.dev.binaries import BinariesMissingError, find_binaries
from eatool.dev.controlplane import ControlPlane, ControlPlaneError


def run(kubectl: Path, kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [kubectl, *arguments, f"--kubeconfig={kubeconfig}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_kubectl_sees_the_true_versions(control_plane: ControlPlane, kubectl: Path) -> None:
    answer = run(kubectl, control_plane.kubeconfig, "version", "-o", "json")

    assert answer.returncode == 0, answer.stderr
    versions = json.loads(answer.stdout)
    server = versions["serverVersion"]
    assert server["gitVersion"].startswith(f"v{server['major']}.{server['minor']}.")
    assert (int(server["major"]), int(server["minor"])) >= (1, 36)


def test_a_kubeconfig_is_for_its_owner_only(control_plane: ControlPlane) -> None:
    for path in (control_plane.kubeconfig, control_plane.kubeconfig_for("carol")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(control_plane.directory.stat().st_mode) == 0o700


def test_rbac_is_enforced_for_users_and_groups(
    control_plane: ControlPlane, kubectl: Path, admin: ApiClient, namespace: str
) -> None:
    bob = control_plane.kubeconfig_for("bob", ["modellers"])
    create = ("create", "configmap", "crm", "-n", namespace)

    refused = run(kubectl, bob, *create)
    assert refused.returncode != 0
    assert 'User "bob" cannot create resource "configmaps"' in refused.stderr

    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}
    admin.call("POST", f"{rights}/roles", {"metadata": {"name": "model"}, "rules": [rule]})
    admin.call("POST", f"{rights}/rolebindings", {
        "metadata": {"name": "model"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "model"},
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "modellers"}
        ],
    })  # fmt: skip
    deadline = time.monotonic() + 10  # the authorizer learns of new rules by a watch
    while (allowed := run(kubectl, bob, *create)).returncode and time.monotonic() < deadline:
        time.sleep(0.1)
    assert allowed.returncode == 0, allowed.stderr


def test_an_admission_policy_stamps_who_made_the_request(
    control_plane: ControlPlane, admin: ApiClient, namespace: str
) -> None:
    policies = "/apis/admissionregistration.k8s.io/v1"
    admin.call("POST", f"{policies}/mutatingadmissionpolicies", {
        "metadata": {"name": namespace},
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["configmaps"],
            }]},
            "mutations": [{
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {"expression": (
                    "Object{metadata: Object.metadata{"
                    "annotations: {'eatool.io/actor': request.userInfo.username}}}"
                )},
            }],
        },
    })  # fmt: skip
    admin.call("POST", f"{policies}/mutatingadmissionpolicybindings", {
        "metadata": {"name": namespace},
        "spec": {
            "policyName": namespace,
            "matchResources": {"namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": namespace},
            }},
        },
    })  # fmt: skip
    try:
        assert _stamped(admin, namespace) == "admin"
    finally:
        admin.call("DELETE", f"{policies}/mutatingadmissionpolicybindings/{namespace}")
        admin.call("DELETE", f"{policies}/mutatingadmissionpolicies/{namespace}")


def _stamped(admin: ApiClient, namespace: str) -> str | None:
    """Create objects until the policy is in effect, which takes a moment."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        created = admin.call(
            "POST",
            f"/api/v1/namespaces/{namespace}/configmaps",
            {"metadata": {"generateName": "x-", "annotations": {"eatool.io/actor": "mallory"}}},
        )
        actor = created["metadata"]["annotations"]["eatool.io/actor"]
        if actor != "mallory":
            return str(actor)
        time.sleep(0.1)
    return None


def test_a_requested_token_authenticates_its_service_account(
    control_plane: ControlPlane, kubectl: Path, admin: ApiClient, namespace: str
) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    admin.call("POST", accounts, {"metadata": {"name": "operator"}})

    kubeconfig = control_plane.service_account_kubeconfig(namespace, "operator")
    answer = run(kubectl, kubeconfig, "auth", "whoami", "-o", "json")
    assert answer.returncode == 0, answer.stderr
    user = json.loads(answer.stdout)["status"]["userInfo"]
    assert user["username"] == f"system:serviceaccount:{namespace}:operator"
    assert "system:serviceaccounts" in user["groups"]

    token = control_plane.service_account_token(namespace, "operator")
    assert control_plane.client(token=token).request("GET", "/api/v1/secrets").status == 403
    assert control_plane.client(token=f"{token}x").request("GET", "/api/v1/secrets").status == 401


def test_a_refused_call_says_why(admin: ApiClient) -> None:
    with pytest.raises(ApiError, match='404 namespaces "nowhere" not found') as refusal:
        admin.call("GET", "/api/v1/namespaces/nowhere")
    assert refusal.value.status == 404


def test_a_failed_start_shows_the_log_and_leaves_nothing_running(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    plane = ControlPlane(tmp_path, fast=True, die_with_parent=True)
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "sa.key").write_text("not a key")

    with pytest.raises(ControlPlaneError, match=r"kube-apiserver ended(.|\n)*sa\.key"):
        plane.start()

    assert plane.etcd.pid is None
    assert plane.kube_apiserver.pid is None


def test_missing_binaries_say_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("eatool.dev.binaries._built", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)

    with pytest.raises(BinariesMissingError, match="run `make controlplane`") as missing:
        find_binaries()
    assert missing.value.names == ["etcd", "kube-apiserver"]
