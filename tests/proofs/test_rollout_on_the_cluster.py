"""An imported registry on the real API server: what ``kubectl get esr`` says on its way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import inspect
from tests.legacy.registry import OldRegistry, filled
from tests.operator.conftest import new_site
from tests.operator.operators import Operator, running, until
from tests.operator.rollout_site import OldRegistry as OldApplication
from tests.operator.rollout_site import RolloutSite
from tests.operator.site import Log, Site
from tests.store.stores import DATABASES, database_url

from eatool.dev.apiclient import ApiClient
from eatool.dev.controlplane import ControlPlane
from eatool.kube.rollout.cli import rollout

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

KIND = "Server"
#: Of 5,000 rows; 200 of them are servers.
_SCALE = 1 / 3
_PARITY = {
    "name": "parity",
    "metric": "ParityMismatches",
    "op": "==",
    "threshold": "0",
    "window": "10s",
}
_COVERED = {"name": "coverage", "metric": "ParityCoverage", "op": ">=", "threshold": "1"}
_JUDGED = {"criteria": [_PARITY, _COVERED], "soakTime": "2s"}
_SPEC: dict[str, Any] = {
    "transitions": [
        {"to": "DualWrite", "autoPromote": True},
        {"to": "ProjectionOnly", "autoPromote": True, **_JUDGED},
        {"to": "AsyncCommands", "autoPromote": True, **_JUDGED},
        {"to": "Retired", **_JUDGED},
    ],
    "rollback": {"criteria": [_PARITY], "cooldown": "1s", "maxDemotions": 9},
}


@pytest.fixture
def site(crds: None, platform_crds: None, admin: ApiClient) -> Site:
    return new_site(admin)


@pytest.fixture(params=DATABASES)
def old(request: pytest.FixtureRequest, tmp_path: Path, site: Site) -> OldRegistry:
    """Adopted and imported."""
    old = filled(database_url(request.param, tmp_path, request), _SCALE)
    assert old.run("adopt").exit_code == 0
    imported = old.run("import", "--kind", KIND, "--namespace", site.namespace)
    assert imported.exit_code == 1, "the dirt is told"
    return old


@pytest.fixture
def operator(
    control_plane: ControlPlane, tmp_path: Path, site: Site, old: OldRegistry
) -> Iterator[Operator]:
    options: dict[str, Any] = {
        "namespaces": site.namespace,
        "namespace": site.namespace,
        "legacy_namespace": site.namespace,
        "store_url": old.url,
        "rollout_interval": 0.3,
    }
    with running(Operator(control_plane.kubeconfig, tmp_path, **options)) as operator:
        yield operator


@pytest.fixture
def rollouts(admin: ApiClient, kubectl: Path, control_plane: ControlPlane) -> Iterator[RolloutSite]:
    rollouts = RolloutSite(admin, kubectl, control_plane.kubeconfig)
    yield rollouts
    rollouts.clear()


@dataclass
class Stage:
    """The cluster, the old application, and the three sound servers that it edits."""

    old: OldRegistry
    site: Site
    rollouts: RolloutSite
    application: OldApplication

    def __post_init__(self) -> None:
        """Find them."""
        dirt = self.old.built.refused
        ids = (row["id"] for row in self.old.built.rows["servers"])
        self.sound = [each for each in ids if ("servers", each) not in dirt]

    def declare(self, value: str) -> None:
        """As a person does with kubectl."""
        spec = {
            "hostname": "live.example",
            "environment": "prod",
            "criticality": "high",
            "region": value,
        }
        self.site.apply(KIND, "live", spec)

    def direct(self, name: str, value: str, table: str = "servers") -> None:
        """As the old application does."""
        self.application.run(f"UPDATE {table} SET region = :r WHERE id = :id", r=value, id=name)

    def region(self, name: str, table: str = "servers") -> Any:
        statement = f"SELECT region FROM {table} WHERE id = :id"
        (found,) = self.application.rows(statement, id=name)
        return found[0]

    def await_region(self, name: str, value: str) -> None:
        until(
            lambda: self.region(name) == value == self.region(name, "read_servers"),
            f"both tables say {value} of {name}",
        )

    def arrive(self, phase: str) -> dict[str, str]:
        """Declare the phase and wait for it; what is told then."""
        self.rollouts.change(KIND, targetPhase=phase)
        self.rollouts.await_status(KIND, phase=phase, state="Complete")
        row = self.rollouts.row(KIND)
        assert (row["PHASE"], row["TARGET"], row["STATE"]) == (phase, phase, "Complete")
        assert row["READY"] == "True"
        return row


@pytest.fixture
def stage(
    old: OldRegistry, operator: Operator, site: Site, rollouts: RolloutSite
) -> Iterator[Stage]:
    """With a running operator."""
    assert operator.alive
    application = OldApplication(old.url)
    yield Stage(old, site, rollouts, application)
    application.close()


def test_what_kubectl_says_on_the_way(
    stage: Stage, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    monkeypatch.setenv("COLUMNS", "200")
    first, second, third = stage.sound[:3]
    rollouts = stage.rollouts
    rollouts.declare(KIND, "Legacy", **_SPEC)
    rollouts.await_status(KIND, phase="Legacy", state="Complete")
    assert rollouts.row(KIND)["EPOCH"] == "1"
    stage.declare("r0")
    stage.site.await_reason(KIND, "live", "WrittenToLegacy")
    stage.direct(first, "direct-0")

    stage.arrive("DualWrite")
    stage.await_region(first, "direct-0")
    stage.direct(second, "direct-1")
    stage.declare("r1")
    stage.await_region(second, "direct-1")
    stage.await_region("live", "r1")

    assert stage.arrive("ProjectionOnly")["EPOCH"] == "3"
    stage.declare("r2")
    stage.await_region("live", "r2")
    until(lambda: rollouts.row(KIND)["PARITY"] == "0 at 100%", "all rows are compared")
    goes_back_and_comes_again(stage, third)

    stage.arrive("AsyncCommands")
    stage.declare("r3")
    stage.await_region("live", "r3")
    stage.site.await_ready(KIND, "live")
    retires(stage)


def goes_back_and_comes_again(stage: Stage, corrupted: str) -> None:
    """Without a person: a mismatch leads back, and blocks until it is out of the window."""
    rollouts = stage.rollouts
    right = stage.region(corrupted)
    stage.direct(corrupted, "corrupt", "read_servers")
    stage.direct(corrupted, "direct-2")  # which has it looked at before the next sweep
    rollouts.await_status(KIND, phase="DualWrite")
    newest = rollouts.status(KIND)["history"][0]
    assert (newest["result"], newest["trigger"]) == ("RolledBack", "Failure")
    rollouts.await_status(KIND, phase="DualWrite", state="Blocked")
    assert rollouts.row(KIND)["STATE"] == "Blocked"
    said = CliRunner().invoke(rollout, ["status", KIND.lower()])
    assert "parity" in said.output
    rollouts.await_status(KIND, phase="ProjectionOnly", state="Complete")
    stage.await_region(corrupted, right)


def retires(stage: Stage) -> None:
    """On a person's word; the log still answers everything."""
    rollouts = stage.rollouts
    rollouts.change(KIND, targetPhase="Retired")
    status = rollouts.await_status(KIND, state="AwaitingApproval")
    assert rollouts.row(KIND)["STATE"] == "AwaitingApproval"
    identity = status["transition"]["id"]
    approved = CliRunner().invoke(
        rollout, ["approve", KIND.lower(), "--transition", identity, "--yes"]
    )
    assert approved.exit_code == 0, approved.output
    rollouts.await_status(KIND, phase="Retired", state="Complete")
    engine = stage.application.engine
    until(lambda: "servers" not in inspect(engine).get_table_names(), "the table is renamed")
    stage.declare("r4")
    until(lambda: stage.region("live", "read_servers") == "r4", "the log goes on")
    log = Log(stage.old.url)
    prefix = f"server/{stage.site.namespace}/"
    known = {event.ref.name for event in log.all() if event.stream_id.startswith(prefix)}
    assert {*stage.sound, "live"} <= known
    log.close()
