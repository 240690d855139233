"""The operator itself with exactly the rights that the chart gives it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.operator.operators import Operator, running, until
from tests.operator.platform_site import PlatformSite
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
