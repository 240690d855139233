"""Who the API server says approved a transition, whatever clients claim."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crds.conftest import wait_for
from tests.crds.server import Kubectl
from tests.crds.test_rollout import PATH, SERVER

from eatool.dev.apiclient import ApiClient
from eatool.dev.controlplane import ControlPlane
from eatool.kube.contract import ACTOR
from eatool.kube.rollout.approvals import approvals_of
from eatool.kube.rollout.resource import APPROVE, APPROVED_BY, EVENT_SOURCING_ROLLOUT
from eatool.rollout.declared import EventSourcingRolloutSpec

ID = "server-2-projectiononly"


@pytest.fixture
def rollout(
    actor_stamps: None, platform_crds: None, admin: ApiClient
) -> Iterator[EventSourcingRolloutSpec]:
    body = {
        "apiVersion": EVENT_SOURCING_ROLLOUT.api_version,
        "kind": EVENT_SOURCING_ROLLOUT.kind,
        "metadata": {"name": "server"},
        "spec": SERVER,
    }
    admin.call("POST", PATH, body)
    yield EventSourcingRolloutSpec.model_validate(SERVER)
    admin.call("DELETE", PATH)


def test_the_approver_is_who_wrote_the_approval(
    rollout: EventSourcingRolloutSpec,
    admin: ApiClient,
    control_plane: ControlPlane,
    kubectl: Path,
) -> None:
    def annotate(user: str, *values: str) -> None:
        kubeconfig = control_plane.kubeconfig_for(user, ["system:masters"])
        Kubectl(kubectl, kubeconfig, "default")("annotate", "esr/server", *values, "--overwrite")

    def stamps() -> dict[str, str]:
        found: dict[str, str] = admin.call("GET", f"{PATH}/server")["metadata"]["annotations"]
        return found

    def in_force() -> bool:
        annotate("probe", f"{APPROVED_BY}=forged", "probe=yes")
        kept = stamps().get(APPROVED_BY) == "forged"
        if kept:
            annotate("probe", f"{APPROVED_BY}-")
        return not kept

    wait_for(in_force)
    assert stamps()[ACTOR] != "probe", "an annotation changes no spec"
    annotate("alice", f"{APPROVE}={ID}", f"{APPROVED_BY}=mallory")
    assert stamps()[APPROVED_BY] == "alice"
    annotate("bob", f"{APPROVED_BY}=bob", "another=annotation")
    assert stamps()[APPROVED_BY] == "alice"
    body = admin.call("GET", f"{PATH}/server")
    (promote, _held) = approvals_of(rollout, body, stamped=True)
    assert (promote.transition_id, promote.gate, promote.actor) == (ID, "promote", "alice")
    unguarded = approvals_of(rollout, body, stamped=False)
    assert {each.actor for each in unguarded} == {"kubectl-annotate"}
    annotate("bob", f"{APPROVE}-")
    assert approvals_of(rollout, admin.call("GET", f"{PATH}/server"), stamped=True) == []
    assert stamps()[APPROVED_BY] == "bob", "taking an approval back is somebody's act, too"
    assert "mallory" not in json.dumps(stamps())
