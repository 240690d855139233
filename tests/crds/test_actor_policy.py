"""Who the API server says changed a spec, whatever clients claim.

The users are real ones with certificates and tokens, not impersonated.
"""

import json
from collections.abc import Callable

import pytest
from tests.crds.cases import sample
from tests.crds.server import MERGE, JsonObject, Kubectl, Registry

from eatool.dev.apiclient import ApiClient
from eatool.dev.controlplane import ControlPlane
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.kube.contract import ACTOR, ACTOR_TYPE, FINALIZER

pytestmark = pytest.mark.usefixtures("actor_stamps")

As = Callable[[str], Kubectl]


@pytest.fixture
def user(control_plane: ControlPlane, run: Kubectl) -> As:
    """kubectl as a person who may do everything."""

    def as_user(name: str) -> Kubectl:
        kubeconfig = control_plane.kubeconfig_for(name, ["system:masters"])
        return Kubectl(run.program, kubeconfig, run.namespace)

    return as_user


def manifest(owner: str, **annotations: str) -> str:
    document = {
        "apiVersion": "eatool.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": "webshop",
            "annotations": {f"eatool.io/{name}": value for name, value in annotations.items()},
        },
        "spec": sample("Application", owner=owner),
    }
    return json.dumps(document)


def stored(run: Kubectl) -> JsonObject:
    document: JsonObject = json.loads(run("get", "application", "webshop", "--output=json"))
    return document


def stamps(run: Kubectl) -> tuple[str | None, str | None]:
    annotations = stored(run)["metadata"].get("annotations", {})
    return annotations.get(ACTOR), annotations.get(ACTOR_TYPE)


def test_the_actor_is_who_changed_the_spec(run: Kubectl, user: As) -> None:
    alice, bob = user("alice"), user("bob")
    apply = ("apply", "--server-side", "--force-conflicts", "--filename=-")
    owner = '{{"spec":{{"owner":"{}"}}}}'.format

    run(
        "create",
        "--filename=-",
        stdin=manifest("a", **{"actor": "mallory", "actor-type": "system"}),
    )
    assert stamps(run) == ("admin", "user"), "a forged actor at creation"

    bob(*apply, stdin=manifest("a"))
    assert stamps(run) == ("admin", "user"), "same spec, applied without the annotation"
    assert stored(run)["metadata"]["generation"] == 1

    bob(*apply, stdin=manifest("b"))
    assert stamps(run) == ("bob", "user"), "a changed spec, applied"

    before = stored(run)["metadata"]["resourceVersion"]
    bob(*apply, stdin=manifest("b"))
    alice("patch", "application", "webshop", "--type=merge", "--patch", owner("b"))
    assert stored(run)["metadata"]["resourceVersion"] == before, "nothing changed, nothing written"

    alice("annotate", "--overwrite", "application", "webshop", f"{ACTOR}=mallory")
    assert stamps(run) == ("bob", "user"), "a forged annotation"

    alice("annotate", "application", "webshop", f"{ACTOR}-", f"{ACTOR_TYPE}-")
    assert stamps(run) == ("bob", "user"), "a removed annotation"

    alice("label", "application", "webshop", "tier=gold")
    assert stamps(run) == ("bob", "user"), "a label"

    alice("annotate", "application", "webshop", "eatool.io/reason=because")
    assert stamps(run) == ("bob", "user"), "a reason alone"
    assert stored(run)["metadata"]["annotations"]["eatool.io/reason"] == "because"

    alice("patch", "application", "webshop", "--type=merge", "--patch", owner("c"))
    assert stamps(run) == ("alice", "user"), "a patched spec"

    bob("replace", "--filename=-", stdin=manifest("c"))
    assert stamps(run) == ("alice", "user"), "same spec, replaced without annotations"

    bob("replace", "--filename=-", stdin=manifest("d", actor="mallory"))
    assert stamps(run) == ("bob", "user"), "a changed spec, replaced with a forged actor"

    alice("replace", "--force", "--filename=-", stdin=manifest("d", actor="bob"))
    assert stamps(run) == ("alice", "user"), "deleted and created again"

    bob(*apply, stdin=manifest("e", actor="mallory"))
    assert stamps(run) == ("bob", "user"), "applied with a forged actor"


def test_the_operators_writes_leave_the_actor(registry: Registry, run: Kubectl, user: As) -> None:
    user("alice")("create", "--filename=-", stdin=manifest("a"))

    for path, patch in (
        ("webshop", {"metadata": {"finalizers": [FINALIZER]}}),
        ("webshop/status", {"status": {"observedGeneration": 1}}),
        # A status patch cannot smuggle an annotation in either.
        ("webshop/status", {"metadata": {"annotations": {ACTOR: "mallory"}}}),
        ("webshop", {"metadata": {"finalizers": None}}),
    ):
        reply = registry.call(
            "PATCH", "Application", path, patch, dry_run=False, content_type=MERGE
        )
        assert reply.status == 200, reply.body["message"]
        assert stamps(run) == ("alice", "user")


def test_a_service_account_is_a_service(
    control_plane: ControlPlane, admin: ApiClient, registry: Registry, run: Kubectl
) -> None:
    namespace = registry.namespace
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    admin.call("POST", account, {"metadata": {"name": "deployer"}})
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
    subject = {"kind": "ServiceAccount", "name": "deployer", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    admin.call(
        "POST", roles, {"metadata": {"name": "deployer"}, "subjects": [subject], "roleRef": role}
    )
    kubeconfig = control_plane.service_account_kubeconfig(namespace, "deployer")

    deployer = Kubectl(run.program, kubeconfig, namespace)
    deployer("create", "--filename=-", stdin=manifest("a"))

    assert stamps(run) == (f"system:serviceaccount:{namespace}:deployer", "service")


def test_a_component_of_the_cluster_is_the_system(run: Kubectl, user: As) -> None:
    user("system:kube-scheduler")("create", "--filename=-", stdin=manifest("a"))

    assert stamps(run) == ("system:kube-scheduler", "system")


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind)
def test_every_kind_is_stamped(registry: Registry, kind: EntityKind) -> None:
    reply = registry.create(kind.kind, sample(kind.kind))

    assert reply.body["metadata"]["annotations"] == {ACTOR: "admin", ACTOR_TYPE: "user"}
