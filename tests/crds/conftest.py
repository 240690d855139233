"""The generated CRDs on a real API server, once per run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

import pytest
from tests.crds.server import Registry, apply

from eatool.dev.apiclient import ApiClient
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.kube.schema.admission import POLICY_NAME, actor_policy
from eatool.kube.schema.crd import crd_name, custom_resource_definition

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
POLICY = f"{ADMISSION}/mutatingadmissionpolicies/{POLICY_NAME}"
BINDING = f"{ADMISSION}/mutatingadmissionpolicybindings/{POLICY_NAME}"


@pytest.fixture(scope="session")
def crds(admin: ApiClient) -> None:
    """All CRDs, established and served."""
    for kind in KINDS.values():
        apply(admin, f"{CRDS}/{crd_name(kind)}", custom_resource_definition(kind))
    for kind in KINDS.values():
        wait_for(lambda kind=kind: _served(admin, kind))


@pytest.fixture
def registry(crds: None, admin: ApiClient, namespace: str) -> Registry:
    """An empty registry in a namespace of its own."""
    return Registry(admin, namespace)


@pytest.fixture(scope="module")
def actor_stamps(crds: None, admin: ApiClient) -> Iterator[None]:
    """The admission policy, in force; only for this module."""
    policy, binding = actor_policy(tuple(KINDS.values()))
    apply(admin, POLICY, policy)
    apply(admin, BINDING, binding)
    probe = Registry(admin, "default")
    wait_for(
        lambda: (
            "eatool.io/actor"
            in probe.call(
                "POST", "Organization", body=probe.manifest("Organization", "probe", {"name": "x"})
            )
            .body["metadata"]
            .get("annotations", {})
        )
    )
    yield
    admin.call("DELETE", BINDING)
    admin.call("DELETE", POLICY)


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
