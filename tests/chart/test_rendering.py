"""What real helm makes of the chart, and of values that are wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.plugins.chart import CHART, Helm

from eatool.demo.places import ACCESS
from eatool.domain.kinds import KINDS
from eatool.kube.schema.platform import DECLARED
from eatool.settings import Settings

CRDS = CHART.parents[1] / "crds"
BROKER = {"name": "main", "spec": {"type": "mqtt", "addresses": ["mqtt://broker:1883"]}}
PROFILES = {
    "default": (),
    "sqlite": ("-f", CHART / "values-sqlite.yaml"),
    "postgres": ("-f", CHART / "values-postgres.yaml"),
    "namespaced": ("--set", "watchNamespaces={team-a,team-b}"),
    "everything": (
        "-f",
        CHART / "values-postgres.yaml",
        "--set",
        "serviceMonitor.enabled=true,serviceMonitor.labels.release=p,prometheusRule.enabled=true",
        "--set",
        "extraEnv[0].name=HTTPS_PROXY,extraEnv[0].value=http://proxy:3128",
        "--set",
        "podLabels.team=ea,podAnnotations.a=b,serviceAccount.annotations.c=d",
        "--set",
        "nodeSelector.disk=fast,priorityClassName=high,imagePullSecrets[0].name=pull",
        "--set-json",
        f"eventBrokers={json.dumps([BROKER])}",
    ),
}
Object = dict[str, Any]


def render(helm: Helm, *options: str | Path) -> list[Object]:
    text = helm("template", "r", CHART, "--namespace", "ops", *options).stdout
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [entry for entry in objects if entry["kind"] == kind]


def pod_of(objects: list[Object]) -> Object:
    (deployment,) = of_kind(objects, "Deployment")
    spec: Object = deployment["spec"]["template"]["spec"]
    return spec


def environment(objects: list[Object]) -> dict[str, str]:
    container = pod_of(objects)["containers"][0]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def rules_of(objects: list[Object]) -> Iterator[Object]:
    for role in of_kind(objects, "ClusterRole") + of_kind(objects, "Role"):
        yield from role["rules"]


@pytest.fixture(params=PROFILES)
def objects(request: pytest.FixtureRequest, offline_helm: Helm) -> list[Object]:
    return render(offline_helm, *PROFILES[request.param])


@pytest.mark.parametrize("profile", PROFILES)
def test_lint_is_strict_and_silent(offline_helm: Helm, profile: str) -> None:
    answer = offline_helm("lint", "--strict", CHART, *PROFILES[profile])
    assert "0 chart(s) failed" in answer.stdout
    assert "[WARNING]" not in answer.stdout


def test_the_package_is_complete(offline_helm: Helm, tmp_path: Path) -> None:
    offline_helm("package", CHART, "--destination", tmp_path)
    (package,) = tmp_path.glob("*.tgz")
    text = offline_helm("template", "r", package).stdout
    crds = of_kind(
        [entry for entry in yaml.safe_load_all(text) if entry], "CustomResourceDefinition"
    )
    assert len(crds) == len(KINDS) + len(DECLARED), "a package must hold what the link points to"


def test_the_crds_are_the_generated_ones(offline_helm: Helm) -> None:
    rendered = of_kind(render(offline_helm), "CustomResourceDefinition")
    generated = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))]
    assert [crd["spec"] for crd in rendered] == [crd["spec"] for crd in generated]
    assert {crd["spec"]["names"]["plural"] for crd in rendered} == {
        *(kind.plural for kind in KINDS.values()),
        *(resource.plural for resource in DECLARED),
    }
    for crd in rendered:
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_crds_can_be_let_go_or_left_out(offline_helm: Helm) -> None:
    loose = of_kind(render(offline_helm, "--set", "crds.keep=false"), "CustomResourceDefinition")
    assert loose
    assert not any("annotations" in crd["metadata"] for crd in loose)
    without = render(offline_helm, "--set", "crds.enabled=false")
    assert not of_kind(without, "CustomResourceDefinition")
    assert "applications" in next(rules_of(without))["resources"]


def test_a_chart_that_lost_its_link_refuses_to_render(offline_helm: Helm, tmp_path: Path) -> None:
    copy = tmp_path / "chart"
    for path in CHART.rglob("*"):
        if path.is_file() and "files" not in path.relative_to(CHART).parts:
            target = copy / path.relative_to(CHART)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    answer = offline_helm("template", "r", copy, check=False)
    assert answer.returncode != 0
    assert "lost its symbolic link" in answer.stderr


def test_the_pod_meets_the_restricted_standard(objects: list[Object]) -> None:
    pod = pod_of(objects)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "resources" in container
    allowed = {"emptyDir", "persistentVolumeClaim", "projected", "secret", "configMap"}
    for volume in pod["volumes"]:
        assert set(volume) - {"name"} <= allowed


def test_the_platform_may_choose_the_user(offline_helm: Helm) -> None:
    pod = pod_of(render(offline_helm, "--set", "runAsUser=null,fsGroup=null"))
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_one_writer_also_during_an_upgrade(objects: list[Object]) -> None:
    (deployment,) = of_kind(objects, "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_every_mount_has_its_volume(objects: list[Object]) -> None:
    pod = pod_of(objects)
    mounts = [mount["name"] for mount in pod["containers"][0]["volumeMounts"]]
    assert sorted(mounts) == sorted(volume["name"] for volume in pod["volumes"])


def test_probes_and_service_meet_at_the_port(objects: list[Object]) -> None:
    container = pod_of(objects)["containers"][0]
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    (service,) = of_kind(objects, "Service")
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    (deployment,) = of_kind(objects, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_no_role_has_a_wildcard_and_only_that_of_the_own_namespace_reads_secrets(
    objects: list[Object],
) -> None:
    for rule in rules_of(objects):
        for values in rule.values():
            assert "*" not in values
    readers = [
        (role["kind"], role["metadata"].get("namespace"))
        for role in of_kind(objects, "ClusterRole") + of_kind(objects, "Role")
        for rule in role["rules"]
        if "secrets" in rule["resources"]
    ]
    assert readers == [("Role", "ops")]


def test_the_operator_never_gets_to_write_a_spec_as_a_whole(objects: list[Object]) -> None:
    operator = [
        role
        for role in of_kind(objects, "ClusterRole")
        if "aggregate" not in str(role["metadata"])
        and not role["metadata"]["name"].endswith("-rollout-admin")  # of people
    ]
    for role in operator + of_kind(objects, "Role"):
        for rule in role["rules"]:
            if rule["resources"] == ["parkedstreams"]:
                continue  # its own reports
            assert not {"update", "delete", "deletecollection"} & set(rule["verbs"])


def test_declared_brokers_become_objects(offline_helm: Helm) -> None:
    options = ("--set-json", f"eventBrokers={json.dumps([BROKER])}")
    (broker,) = of_kind(render(offline_helm, *options), "EventBroker")
    assert broker["metadata"]["name"] == BROKER["name"]
    assert broker["spec"] == BROKER["spec"]
    assert not of_kind(render(offline_helm), "EventBroker")


def test_the_operator_learns_its_namespace_from_its_pod(objects: list[Object]) -> None:
    (entry,) = [
        entry
        for entry in pod_of(objects)["containers"][0]["env"]
        if entry["name"] == "EATOOL_NAMESPACE"
    ]
    assert entry["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}


def test_the_demo_runs_with_the_rights_of_the_chart(offline_helm: Helm) -> None:
    rendered = render(offline_helm)
    demo = {
        (role["kind"], role["metadata"]["name"]): role["rules"]
        for role in yaml.safe_load_all(ACCESS.read_text())
        if role["kind"] in {"ClusterRole", "Role"}
    }
    for kind, name in (
        ("ClusterRole", "eatool-operator"),
        ("ClusterRole", "eatool-operator-rollout"),
        ("Role", "eatool-operator-platform"),
    ):
        (chart,) = [
            role["rules"]
            for role in of_kind(rendered, kind)
            if role["metadata"]["name"] == f"r-{name}"
        ]
        assert sorted(demo[kind, name], key=str) == sorted(chart, key=str)


def test_watching_some_namespaces_needs_no_cluster_role_of_the_operator(
    offline_helm: Helm,
) -> None:
    found = render(offline_helm, *PROFILES["namespaced"])
    assert {
        (role["metadata"]["name"], role["metadata"]["namespace"]) for role in of_kind(found, "Role")
    } == {
        ("r-eatool-operator", "team-a"),
        ("r-eatool-operator", "team-b"),
        ("r-eatool-operator-platform", "ops"),
    }
    assert not of_kind(found, "ClusterRoleBinding")
    for binding in of_kind(found, "RoleBinding"):
        assert binding["subjects"][0]["namespace"] == "ops"
    assert environment(found)["EATOOL_NAMESPACES"] == "team-a,team-b"


def test_rollouts_are_for_those_who_may_grant_rights_of_the_cluster(offline_helm: Helm) -> None:
    granted = render(offline_helm, *PROFILES["namespaced"], "--set", "rollout.clusterRole=true")
    (binding,) = of_kind(granted, "ClusterRoleBinding")
    assert binding["roleRef"]["name"] == "r-eatool-operator-rollout"
    home = {role["metadata"]["namespace"] for role in of_kind(granted, "Role")}
    assert home == {"team-a", "team-b", "ops", "default"}, "events of cluster objects"
    off = render(offline_helm, "--set", "rollout.enabled=false")
    assert environment(off)["EATOOL_ROLLOUT"] == "false"
    names = {role["metadata"]["name"] for role in of_kind(off, "ClusterRole")}
    assert "r-eatool-operator-rollout" not in names


def test_namespaced_objects_say_where_they_belong(objects: list[Object]) -> None:
    cluster = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
    for entry in objects:
        if entry["kind"] in cluster or entry["kind"].startswith("MutatingAdmissionPolicy"):
            assert "namespace" not in entry["metadata"]
        else:
            assert entry["metadata"]["namespace"]


#: Left to its default, and to ``extraEnv`` where pods have IPv6 addresses only.
NOT_SET = "http_host"


def test_variables_are_settings_and_every_setting_is_one(offline_helm: Helm) -> None:
    full = render(offline_helm, *PROFILES["everything"])
    variables = {
        entry["name"]
        for rendered in (full, render(offline_helm))
        for entry in pod_of(rendered)["containers"][0]["env"]
    }
    files = {
        item["path"].upper()
        for volume in pod_of(full)["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        for item in source["secret"]["items"]
    }
    settings = {f"EATOOL_{name.upper()}" for name in Settings.model_fields if name != NOT_SET}
    used = {name for name in variables | files if name.startswith("EATOOL_")}
    assert used == settings | {"EATOOL_SECRETS_DIR"}


def test_the_chart_repeats_the_defaults_of_the_settings(
    offline_helm: Helm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Settings()
    for name, value in environment(render(offline_helm)).items():
        monkeypatch.setenv(name, value)
    charted = Settings()
    different = {
        name for name in Settings.model_fields if getattr(bare, name) != getattr(charted, name)
    }
    assert different == {"store_url", "trusted_actor_annotation"}


def test_extra_variables_replace_those_of_the_chart(offline_helm: Helm) -> None:
    options = ("--set", "extraEnv[0].name=EATOOL_WORKERS", "--set-string", "extraEnv[0].value=3")
    found = pod_of(render(offline_helm, *options))["containers"][0]["env"]
    assert [entry["value"] for entry in found if entry["name"] == "EATOOL_WORKERS"] == ["3"]
    names = [entry["name"] for entry in found]
    assert len(names) == len(set(names)), "a server-side apply refuses duplicates"


def test_the_rendered_environment_is_accepted(
    objects: list[Object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = environment(objects)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for volume in pod_of(objects)["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            for item in source["secret"]["items"]:
                (tmp_path / item["path"]).write_text("postgresql+psycopg://u:p@host/x\n")
    settings = Settings(_secrets_dir=tmp_path)
    store = settings.store_url.get_secret_value()
    if "EATOOL_SECRETS_DIR" in variables:
        assert store == "postgresql+psycopg://u:p@host/x"
    else:
        assert store == "sqlite:////var/lib/eatool/eatool.db"
    assert settings.trusted_actor_annotation


def test_secrets_are_files_not_values(objects: list[Object]) -> None:
    assert not of_kind(objects, "Secret")
    for path in (CHART / "values.yaml", CHART / "values-postgres.yaml"):
        values = yaml.safe_load(path.read_text())
        assert not re.search(r"password|token", json.dumps(values), re.IGNORECASE)
    for entry in pod_of(objects)["containers"][0]["env"]:
        assert "secretKeyRef" not in entry.get("valueFrom", {})


def test_the_actor_is_trusted_only_with_the_policy(offline_helm: Helm) -> None:
    stamped = render(offline_helm)
    assert len(of_kind(stamped, "MutatingAdmissionPolicy")) == 2
    assert len(of_kind(stamped, "MutatingAdmissionPolicyBinding")) == 2
    assert environment(stamped)["EATOOL_TRUSTED_ACTOR_ANNOTATION"] == "true"
    plain = render(offline_helm, "--set", "admission.actorPolicy.enabled=false")
    assert not of_kind(plain, "MutatingAdmissionPolicy")
    assert environment(plain)["EATOOL_TRUSTED_ACTOR_ANNOTATION"] == "false"


def test_an_older_cluster_is_told_what_to_do(offline_helm: Helm) -> None:
    answer = offline_helm("template", "r", CHART, "--kube-version", "1.35.2", check=False)
    assert answer.returncode != 0
    assert "admission.actorPolicy.enabled=false" in answer.stderr
    render(offline_helm, "--kube-version", "1.35.2", "--set", "admission.actorPolicy.enabled=false")


def test_users_get_the_kinds_through_their_usual_roles(offline_helm: Helm) -> None:
    roles = {
        role["metadata"]["name"]: role for role in of_kind(render(offline_helm), "ClusterRole")
    }
    view, edit = roles["r-eatool-operator-view"], roles["r-eatool-operator-edit"]
    assert "rbac.authorization.k8s.io/aggregate-to-view" in view["metadata"]["labels"]
    assert "rbac.authorization.k8s.io/aggregate-to-view" not in edit["metadata"]["labels"]
    for role in (view, edit):
        assert not any("/" in name for rule in role["rules"] for name in rule["resources"])
    platform = roles["r-eatool-operator-platform-admin"]
    assert "rbac.authorization.k8s.io/aggregate-to-edit" not in platform["metadata"]["labels"]
    off = render(offline_helm, "--set", "rbac.aggregate=false")
    assert {role["metadata"]["name"] for role in of_kind(off, "ClusterRole")} == {
        "r-eatool-operator",
        "r-eatool-operator-rollout",
    }


def test_the_network_policy_lets_the_named_ports_through(offline_helm: Helm) -> None:
    options = ("--set", "networkPolicy.enabled=true,networkPolicy.egressPorts={443,8883}")
    (policy,) = of_kind(render(offline_helm, *options), "NetworkPolicy")
    assert [port["port"] for port in policy["spec"]["egress"][0]["ports"]] == [53, 53, 443, 8883]
    assert policy["spec"]["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("replicas=2", "/replicas"),
        ("replicas=-1", "/replicas"),
        ("nope=1", "'nope' not allowed"),
        ("store.type=mysql", "/store/type"),
        ("store.type=postgresql", "/store/postgresql/existingSecret"),
        ("store.postgresql.password=x", "'password' not allowed"),
        ("broker.url=mqtt://u:p@h", "'broker' not allowed"),
        ("environment=test", "/environment"),
        ("operator.workers=0", "/operator/workers"),
        ("operator.referenceRetry=0", "/operator/referenceRetry"),
        ("eventBrokers[0].name=Main,eventBrokers[0].spec.type=mqtt", "/eventBrokers/0/name"),
        ("eventBrokers[0].name=main", "missing property 'spec'"),
        ("extraEnv[0].name=A,extraEnv[0].value=3", "/extraEnv/0/value"),
        ("operator.logLevel=trace", "/operator/logLevel"),
        ("watchNamespaces={Not_A_Namespace}", "/watchNamespaces/0"),
        ("image.digest=latest", "/image/digest"),
        ("runAsUser=0", "/runAsUser"),
        ("service.port=0", "/service/port"),
    ],
)
def test_wrong_values_are_refused_by_name(offline_helm: Helm, option: str, complaint: str) -> None:
    answer = offline_helm("template", "r", CHART, "--set", option, check=False)
    assert answer.returncode != 0
    assert complaint in answer.stderr


def test_two_replicas_are_refused_with_sqlite_only(offline_helm: Helm) -> None:
    render(offline_helm, "-f", CHART / "values-postgres.yaml", "--set", "replicas=2")


def test_every_value_is_described_by_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(value: Any, description: Object, path: str) -> None:
        if isinstance(value, dict) and description.get("additionalProperties") is False:
            extra = {"global"} if not path else set()
            assert set(value) == set(description["properties"]) - extra, path
            for key, child in value.items():
                compare(child, description["properties"][key], f"{path}.{key}")

    compare(values, schema, "")


def test_every_alert_of_every_file_is_in_the_rule(offline_helm: Helm) -> None:
    (rule,) = of_kind(render(offline_helm, *PROFILES["everything"]), "PrometheusRule")
    files = [
        yaml.safe_load(file.read_text()) for file in (CHART / "files" / "alerts").glob("*.yaml")
    ]
    meant = [group for file in files for group in file["groups"]]
    assert len(meant) > 1
    assert sorted(rule["spec"]["groups"], key=str) == sorted(meant, key=str)
