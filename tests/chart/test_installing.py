"""The chart installed into a real API server: rights, upgrade, removal."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.plugins.chart import CHART, RELEASE, Helm

from eatool.dev.apiclient import ApiClient
from eatool.dev.controlplane import ControlPlane
from eatool.domain.kinds import KINDS
from eatool.kube.platform.resources import RESOURCES

ACCOUNT = f"{RELEASE}-eatool-operator"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PLURALS = sorted(kind.plural for kind in KINDS.values())
Right = tuple[str, str, str]

IN_A_NAMESPACE: set[Right] = {
    *(("eatool.io", name, verb) for name in PLURALS for verb in ("list", "watch", "patch")),
    *(("eatool.io", f"{name}/status", "patch") for name in PLURALS),
    ("events.k8s.io", "events", "create"),
}
#: In the namespace of the release besides: what decides where events go.
AT_HOME: set[Right] = {
    *(
        ("platform.eatool.io", resource.plural, verb)
        for resource in RESOURCES
        for verb in ("list", "watch")
    ),
    *(("platform.eatool.io", f"{resource.plural}/status", "patch") for resource in RESOURCES),
    ("platform.eatool.io", "parkedstreams", "create"),
    ("platform.eatool.io", "parkedstreams", "delete"),
    *(("", "secrets", verb) for verb in ("get", "list", "watch")),
    ("events.k8s.io", "events", "create"),
}
#: Rollouts belong to the cluster.
OF_THE_CLUSTER: set[Right] = {
    ("platform.eatool.io", "eventsourcingrollouts", "list"),
    ("platform.eatool.io", "eventsourcingrollouts", "watch"),
    ("platform.eatool.io", "eventsourcingrollouts/status", "patch"),
}
DISCOVERY: set[Right] = {
    ("apiextensions.k8s.io", "customresourcedefinitions", verb) for verb in ("list", "watch")
}


def wait(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.1)


def rights(control_plane: ControlPlane, account: str, home: str, where: str) -> set[Right]:
    """Everything a service account may do in a namespace, as the API server sees it."""
    client = control_plane.client(token=control_plane.service_account_token(home, account))
    status = client.call(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": where},
        },
    )["status"]
    assert not status["incomplete"]
    return {
        (group, resource, verb)
        for rule in status["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def granted(control_plane: ControlPlane, admin: ApiClient, home: str, where: str) -> set[Right]:
    """What the chart adds to what any service account may do."""
    body = {"metadata": {"name": "nobody"}}
    admin.request("POST", f"/api/v1/namespaces/{home}/serviceaccounts", body)
    return rights(control_plane, ACCOUNT, home, where) - rights(
        control_plane, "nobody", home, where
    )


def allowed(client: ApiClient, namespace: str, right: Right) -> bool:
    group, resource, verb = right
    resource, _, subresource = resource.partition("/")
    attributes = {"group": group, "resource": resource, "subresource": subresource, "verb": verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {**attributes, "namespace": namespace}},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(client.call("POST", path, review)["status"]["allowed"])


def install(helm: Helm, namespace: str, *options: str | Path) -> None:
    common = ["--namespace", namespace, "--wait=hookOnly", "--take-ownership", "--force-conflicts"]
    helm("upgrade", "--install", RELEASE, CHART, *common, *options)


def test_the_operator_may_do_exactly_what_it_needs(
    control_plane: ControlPlane, admin: ApiClient, release: str
) -> None:
    found = granted(control_plane, admin, release, "default")
    assert found == IN_A_NAMESPACE | DISCOVERY | OF_THE_CLUSTER
    at_home = granted(control_plane, admin, release, release)
    assert at_home == IN_A_NAMESPACE | DISCOVERY | OF_THE_CLUSTER | AT_HOME


def test_the_api_server_agrees_case_by_case(control_plane: ControlPlane, release: str) -> None:
    client = control_plane.client(token=control_plane.service_account_token(release, ACCOUNT))
    for right in IN_A_NAMESPACE | DISCOVERY:
        assert allowed(client, "default", right), right
    for right in AT_HOME:
        assert allowed(client, release, right), right
    forbidden: list[Right] = [
        ("", "secrets", "get"),
        ("", "namespaces", "list"),
        ("", "pods", "list"),
        ("", "configmaps", "get"),
        ("eatool.io", "applications", "get"),
        ("eatool.io", "applications", "update"),
        ("eatool.io", "applications", "delete"),
        ("eatool.io", "applications", "create"),
        ("apiextensions.k8s.io", "customresourcedefinitions", "patch"),
        ("rbac.authorization.k8s.io", "clusterroles", "escalate"),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies", "patch"),
    ]
    for right in forbidden:
        assert not allowed(client, "default", right), right


def test_watching_one_namespace_grants_nothing_elsewhere(
    control_plane: ControlPlane, admin: ApiClient, online_helm: Helm, namespace: str
) -> None:
    install(online_helm, namespace, "--set", f"watchNamespaces={{{namespace}}}")
    try:
        assert granted(control_plane, admin, namespace, namespace) == (IN_A_NAMESPACE | AT_HOME)
        assert granted(control_plane, admin, namespace, "default") == set()
    finally:
        online_helm("uninstall", RELEASE, "--namespace", namespace)


WATCHER = """
    import kopf, sys
    from eatool.telemetry import logs

    logs.configure("debug", "json")
    namespaces = sys.argv[1:]

    @kopf.on.startup()
    def configure(settings, **_):
        settings.scanning.disabled = bool(namespaces)

    @kopf.on.event("eatool.io", kopf.EVERYTHING)
    def seen(name, resource, logger, **_):
        logger.info(f"sighted {resource.plural} {name}")

    kopf.run(standalone=True, clusterwide=not namespaces, namespaces=namespaces)
"""


@pytest.fixture(params=["cluster", "namespaced"])
def watched(
    request: pytest.FixtureRequest, online_helm: Helm, namespace: str
) -> Iterator[list[str]]:
    """The chart installed to watch these namespaces (none = all)."""
    namespaces = [namespace] if request.param == "namespaced" else []
    install(online_helm, namespace, "--set-json", f"watchNamespaces={json.dumps(namespaces)}")
    yield namespaces
    online_helm("uninstall", RELEASE, "--namespace", namespace)


def test_the_framework_lacks_no_right(
    control_plane: ControlPlane,
    admin: ApiClient,
    namespace: str,
    watched: list[str],
    tmp_path: Path,
) -> None:
    """kopf with the rights of the chart: it watches, and is refused nothing."""
    script, log = tmp_path / "watcher.py", tmp_path / "log"
    script.write_text(textwrap.dedent(WATCHER))
    kubeconfig = control_plane.service_account_kubeconfig(namespace, ACCOUNT)
    environment = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "PYTHONPATH": str(CHART.parents[1] / "operator"),
    }
    organization = {
        "apiVersion": "eatool.io/v1alpha1",
        "kind": "Organization",
        "metadata": {"name": "acme"},
        "spec": {"name": "Acme"},
    }
    path = f"/apis/eatool.io/v1alpha1/namespaces/{namespace}/organizations"
    wait(lambda: admin.request("GET", path).status == 200, "the CRD is served")
    account = control_plane.client(token=control_plane.service_account_token(namespace, ACCOUNT))
    right = ("eatool.io", PLURALS[0], "watch")
    wait(lambda: allowed(account, namespace, right), "the API server has noticed the binding")
    with log.open("wb") as out:
        watcher = subprocess.Popen([sys.executable, script, *watched], env=environment, stderr=out)
    try:
        admin.call("POST", path, organization)

        def sighted() -> bool:
            assert watcher.poll() is None, log.read_text()
            return "sighted organizations acme" in log.read_text()

        wait(sighted, "the watcher sees the object")
    finally:
        watcher.terminate()
        watcher.wait(30)
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    refused = [text for text in messages if re.search("Not enough|Forbidden|Unauthorized", text)]
    assert refused == []


def test_removal_keeps_crds_objects_and_history(
    admin: ApiClient, online_helm: Helm, namespace: str
) -> None:
    install(online_helm, namespace)
    path = f"/apis/eatool.io/v1alpha1/namespaces/{namespace}/organizations"
    wait(lambda: admin.request("GET", path).status == 200, "the CRD is served")
    admin.call(
        "POST",
        path,
        {
            "apiVersion": "eatool.io/v1alpha1",
            "kind": "Organization",
            "metadata": {"name": "kept"},
            "spec": {"name": "Kept"},
        },
    )
    verbose = ("--set", "extraEnv[0].name=EATOOL_LOG_LEVEL,extraEnv[0].value=debug")
    install(online_helm, namespace, "--set", "operator.workers=4", *verbose)
    deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    (deployment,) = admin.call("GET", deployments)["items"]
    assert {"name": "EATOOL_WORKERS", "value": "4"} in deployment["spec"]["template"]["spec"][
        "containers"
    ][0]["env"]
    online_helm("uninstall", RELEASE, "--namespace", namespace)
    assert admin.call("GET", deployments)["items"] == []
    names = {crd["metadata"]["name"] for crd in admin.call("GET", CRDS)["items"]}
    assert {f"{plural}.eatool.io" for plural in PLURALS} <= names
    assert admin.call("GET", f"{path}/kept")["spec"] == {"name": "Kept"}
    claims = admin.call("GET", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims")["items"]
    assert [claim["metadata"]["name"] for claim in claims] == [f"{ACCOUNT}-log"]
    install(online_helm, namespace)  # comes back to what it left
    online_helm("uninstall", RELEASE, "--namespace", namespace)


@pytest.mark.parametrize("profile", ["values-sqlite.yaml", "values-postgres.yaml"])
def test_a_bare_cluster_accepts_each_profile(
    admin: ApiClient, online_helm: Helm, namespace: str, profile: str
) -> None:
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    admin.call(
        "PATCH",
        f"/api/v1/namespaces/{namespace}",
        {"metadata": {"labels": level}},
        content_type="application/merge-patch+json",
    )
    install(online_helm, namespace, "-f", CHART / profile)
    (deployment,) = admin.call("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments")["items"]
    # No controller makes the pod; the API server's own admission judges the template.
    template = deployment["spec"]["template"]
    pod = {"metadata": {**template["metadata"], "name": "probe"}, "spec": template["spec"]}
    pod["spec"]["nodeName"] = "nowhere"
    pods = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    admin.call("POST", pods, pod)
    pod["spec"]["securityContext"]["seccompProfile"]["type"] = "Unconfined"
    assert admin.request("POST", pods, pod).status == 403, "restricted is enforced"
    online_helm("uninstall", RELEASE, "--namespace", namespace)


def test_an_upgrade_brings_the_crds_along(
    admin: ApiClient, online_helm: Helm, namespace: str, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(CHART, older)  # follows the link
    file = older / "files" / "crds" / "eatool.io_servers.yaml"
    crd = yaml.safe_load(file.read_text())
    newest: list[Any] = crd["spec"]["versions"][0]["additionalPrinterColumns"]
    crd["spec"]["versions"][0]["additionalPrinterColumns"] = newest[:1]
    file.write_text(yaml.safe_dump(crd))

    def columns() -> int:
        stored = admin.call("GET", f"{CRDS}/servers.eatool.io")
        return len(stored["spec"]["versions"][0]["additionalPrinterColumns"])

    common = ["--namespace", namespace, "--wait=hookOnly", "--take-ownership", "--force-conflicts"]
    online_helm("upgrade", "--install", RELEASE, older, *common)
    assert columns() == 1
    online_helm("upgrade", RELEASE, CHART, "--namespace", namespace, "--wait=hookOnly")
    assert columns() == len(newest) > 1
    online_helm("uninstall", RELEASE, "--namespace", namespace)


def test_the_fixture_for_the_operator_acts_as_its_account(
    operator_service_account_kubeconfig: Path, kubectl: Path, release: str
) -> None:
    answer = subprocess.run(
        [
            kubectl,
            "--kubeconfig",
            operator_service_account_kubeconfig,
            "auth",
            "whoami",
            "-o",
            "json",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    user = json.loads(answer.stdout)["status"]["userInfo"]["username"]
    assert user == f"system:serviceaccount:{release}:{ACCOUNT}"
