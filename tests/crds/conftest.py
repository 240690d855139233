"""The generated CRDs on a real API server, once per run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from tests.crds.server import Kubectl, Registry, apply

from eatool.dev.apiclient import ApiClient
from eatool.dev.controlplane import ControlPlane
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.kube.platform.resources import Resource
from eatool.kube.schema.admission import actor_policy
from eatool.kube.schema.crd import crd_name, custom_resource_definition
from eatool.kube.schema.platform import DECLARED, platform_crd
from eatool.publishing.declared import API_GROUP, API_VERSION

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_PLURALS = {
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
}


@pytest.fixture(scope="session")
def crds(admin: ApiClient) -> None:
    """All CRDs, established and served."""
    for kind in KINDS.values():
        apply(admin, f"{CRDS}/{crd_name(kind)}", custom_resource_definition(kind))
    wait_for(lambda: all(_served(admin, kind) for kind in KINDS.values()))


@pytest.fixture(scope="session")
def platform_crds(admin: ApiClient) -> None:
    """The CRDs of the platform group, served."""
    for crd in (platform_crd(resource) for resource in DECLARED):
        apply(admin, f"{CRDS}/{crd['metadata']['name']}", crd)

    def served(resource: Resource) -> bool:
        place = "namespaces/default/" if resource.scope == "Namespaced" else ""
        path = f"/apis/{API_GROUP}/{API_VERSION}/{place}{resource.plural}"
        probe = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": "probe"},
        }
        # Lists are answered some seconds before objects are taken.
        return (
            admin.request("GET", path).status == HTTPStatus.OK
            and admin.request("POST", f"{path}?dryRun=All", probe).status
            == HTTPStatus.UNPROCESSABLE_ENTITY
        )

    wait_for(lambda: all(map(served, DECLARED)))


@pytest.fixture
def registry(crds: None, admin: ApiClient, namespace: str) -> Registry:
    """An empty registry in a namespace of its own."""
    return Registry(admin, namespace)


@pytest.fixture
def run(control_plane: ControlPlane, kubectl: Path, registry: Registry) -> Kubectl:
    """kubectl as the administrator."""
    return Kubectl(kubectl, control_plane.kubeconfig, registry.namespace)


@contextmanager
def stamping(admin: ApiClient) -> Iterator[None]:
    """Have the admission policy in force, and out of force again afterwards."""
    made = {
        f"{ADMISSION}/{_PLURALS[each['kind']]}/{each['metadata']['name']}": each
        for each in actor_policy(tuple(KINDS.values()))
    }
    for path, document in made.items():
        apply(admin, path, document)
    wait_for(lambda: _stamps(admin))
    yield
    for path in reversed(made):
        admin.call("DELETE", path)
    wait_for(lambda: not _stamps(admin))


@pytest.fixture(scope="module")
def actor_stamps(crds: None, admin: ApiClient) -> Iterator[None]:
    """The admission policy, only for this module."""
    with stamping(admin):
        yield


def _stamps(admin: ApiClient) -> bool:
    reply = Registry(admin, "default").create("Organization", {"name": "Probe"})
    return "annotations" in reply.body["metadata"]


def _served(admin: ApiClient, kind: EntityKind) -> bool:
    path = f"/apis/{kind.api_group}/{kind.api_version}/{kind.plural}"
    return admin.request("GET", path).status == HTTPStatus.OK


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Poll; the API server takes new CRDs and policies into use with a delay."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("the API server did not take what it accepted into use")
        time.sleep(0.1)
