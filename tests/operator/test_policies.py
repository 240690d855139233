"""What a site switches on, as users meet it: with kubectl, on the real API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.crds.server import Kubectl
from tests.manifests.documents import manifest
from tests.operator.operators import Operator
from tests.operator.site import APPLICATION, Log, Site

from eatool.dev.controlplane import ControlPlane

ENDED = {"lifecycle": "deprecated"}
INTERFACE = {
    "name": "Orders",
    "protocol": "https",
    "endpoint": "https://orders.example",
    "exposedByAppId": "erp",
    "status": "retired",
}


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    return {
        "policy_require_reason": "application, organization",
        "policy_require_approval": "application",
        "policy_strict_lifecycle": "application_interface,application",
    }


class Git:
    """Manifests of applications, applied as a deployer would: what is not said goes."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl

    def apply(self, name: str, spec: dict[str, Any] | None = None, **annotations: str) -> None:
        named = {f"eatool.io/{key.replace('_', '-')}": text for key, text in annotations.items()}
        full = APPLICATION | {"name": name} | (spec or {})
        text = manifest("Application", name, full, annotations=named)
        self.kubectl("apply", "-f", "-", stdin=text)

    def annotate(self, name: str, *annotations: str) -> None:
        named = (f"eatool.io/{each}" for each in annotations)
        self.kubectl("annotate", "application", name, "--overwrite", *named)

    def delete(self, name: str) -> None:
        self.kubectl("delete", "application", name, "--wait=false")


@pytest.fixture
def git(operator: Operator, kubectl: Path, control_plane: ControlPlane, site: Site) -> Git:
    return Git(Kubectl(kubectl, control_plane.kubeconfig, site.namespace))


def why(site: Site, log: Log, name: str) -> list[dict[str, str]]:
    """What each event says of why it was done."""
    names = ("reason", "approval_id", "override", "spent")
    return [
        {key: event.metadata[key] for key in names if key in event.metadata}
        for event in log.of(site.ref("Application", name))
    ]


def test_a_deletion_needs_a_reason_and_an_approval_of_its_own(
    git: Git, site: Site, log: Log
) -> None:
    git.apply("shop", reason="new", approval_id="ARB-1")
    site.await_ready("Application", "shop")
    git.delete("shop")
    site.await_reason("Application", "shop", "JustificationRequired")
    assert "what is there counted for an earlier change" in site.message("Application", "shop")
    git.annotate("shop", "reason=sold")
    site.await_reason("Application", "shop", "ApprovalRequired")
    git.annotate("shop", "approval-id=ARB-2")
    site.await_gone("Application", "shop")
    assert why(site, log, "shop") == [
        {"reason": "new", "approval_id": "ARB-1"},
        {"reason": "sold", "approval_id": "ARB-2"},
    ]


def test_annotating_first_lets_a_deletion_pass_at_once(git: Git, site: Site, log: Log) -> None:
    git.apply("crm")
    site.await_ready("Application", "crm")
    git.annotate("crm", "reason=sold", "approval-id=ARB-3")
    git.delete("crm")
    site.await_gone("Application", "crm")
    assert why(site, log, "crm")[-1] == {"reason": "sold", "approval_id": "ARB-3"}
    git.apply("crm", reason="sold", approval_id="ARB-3")
    site.await_ready("Application", "crm")
    assert why(site, log, "crm")[-1] == {"reason": "sold", "approval_id": "ARB-3"}, "a new object"


def test_a_reason_counts_for_the_change_it_came_with(git: Git, site: Site, log: Log) -> None:
    git.apply("billing", reason="new")
    site.await_ready("Application", "billing")
    git.apply("billing", {"criticality": "high"}, reason="new")
    site.await_reason("Application", "billing", "JustificationRequired")
    git.apply("billing", {"criticality": "high"}, reason="audit")
    site.await_ready("Application", "billing")
    git.apply("billing", {"criticality": "high"}, reason="audit")  # again: no change
    git.apply("billing", {"criticality": "high", "owner": "someone"}, reason="audit")
    site.await_ready("Application", "billing")
    git.apply("billing", {"criticality": "low", "owner": "someone"}, reason="audit")
    site.await_reason("Application", "billing", "JustificationRequired")
    git.apply("billing", {"owner": "someone"}, reason="new")  # as git revert would have it
    site.await_ready("Application", "billing")
    assert why(site, log, "billing") == [
        {"reason": "new"},
        {"reason": "audit"},
        {"spent": {"reason": "audit"}},
        {"reason": "new"},
    ]


def test_state_machines_are_strict(git: Git, site: Site, log: Log) -> None:
    git.apply("erp", ENDED)
    site.await_ready("Application", "erp")
    git.apply("erp")
    site.await_reason("Application", "erp", "InvalidStateTransition")
    git.apply("erp", override="reactivate")
    site.await_reason("Application", "erp", "JustificationRequired")
    git.annotate("erp", "reason=still needed")
    site.await_ready("Application", "erp")
    assert why(site, log, "erp")[-1] == {"reason": "still needed", "override": "reactivate"}
    git.apply("erp", ENDED, override="reactivate", reason="still needed")
    site.await_ready("Application", "erp")
    git.apply("erp", override="reactivate", reason="still needed")
    site.await_reason("Application", "erp", "JustificationRequired")
    site.create("ApplicationInterface", "orders", INTERFACE)
    site.await_ready("ApplicationInterface", "orders")
    site.change("ApplicationInterface", "orders", status="active")
    site.await_reason("ApplicationInterface", "orders", "InvalidStateTransition")


def test_a_switch_is_for_the_kinds_it_names(git: Git, site: Site, log: Log) -> None:
    site.create("Organization", "acme", {"name": "Acme"})
    site.await_ready("Organization", "acme")
    site.delete("Organization", "acme")
    site.await_reason("Organization", "acme", "JustificationRequired")
    site.annotate("Organization", "acme", reason="sold")
    site.await_gone("Organization", "acme")
    data = {"name": "Clicks", "classification": "restricted", "criticality": "low"}
    site.create("DataEntity", "clicks", data)
    site.await_ready("DataEntity", "clicks")
    site.change("DataEntity", "clicks", classification="public")
    site.await_ready("DataEntity", "clicks")
    site.delete("DataEntity", "clicks")
    site.await_gone("DataEntity", "clicks")
