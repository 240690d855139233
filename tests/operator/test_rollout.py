"""A kind on its way through the phases, with the real operator, API server and kubectl."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.operator.operators import Operator, running, until
from tests.operator.rollout_site import OldRegistry, RolloutSite, under_rollout
from tests.operator.site import SERVER, Log, Site

from eatool.dev.controlplane import ControlPlane
from eatool.dev.faultproxy import FaultProxy
from eatool.kube.rollout.cli import rollout
from eatool.rollout.ledger import PHASE_CHANGED
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.phases import Phase
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

PARITY = {"name": "parity", "metric": "ParityMismatches", "op": "==", "threshold": "0"}
COVERED = {"name": "coverage", "metric": "ParityCoverage", "op": ">=", "threshold": "1"}
AT_ONCE: dict[str, Any] = {"to": "DualWrite", "autoPromote": True}
JUDGED: dict[str, Any] = {
    "to": "ProjectionOnly",
    "autoPromote": True,
    "soakTime": "2s",
    "criteria": [PARITY, COVERED],
}


@pytest.fixture(scope="module")
def settings(site: Site, directory: Path) -> dict[str, Any]:
    return under_rollout(site, directory, "Server")


@pytest.fixture(scope="module")
def legacy(operator: Operator) -> Iterator[OldRegistry]:
    legacy = OldRegistry(operator.store_url)
    yield legacy
    legacy.close()


@pytest.fixture
def ledger(operator: Operator) -> Iterator[SqlLedger]:
    store = SqlEventStore(open_engine(operator.store_url))
    yield SqlLedger(store)
    store.close()


def transitions(log: Log, kind: str) -> list[tuple[str | None, str]]:
    return [
        (event.data["from"], event.data["to"])
        for event in log.all()
        if event.type == PHASE_CHANGED and event.stream_id == f"rollout/-/{kind}"
    ]


def test_from_legacy_to_projection_only_as_the_criteria_decide(
    operator: Operator, site: Site, rollouts: RolloutSite, legacy: OldRegistry, log: Log
) -> None:
    rollouts.declare("Server", "Legacy", transitions=[AT_ONCE, JUDGED])
    rollouts.await_status("Server", phase="Legacy", state="Complete")
    row = rollouts.row("Server")
    assert (row["KIND"], row["PHASE"], row["TARGET"]) == ("Server", "Legacy", "Legacy")
    assert (row["STATE"], row["EPOCH"], row["READY"]) == ("Complete", "1", "True")

    site.create("Server", "first", SERVER)
    site.await_reason("Server", "first", "WrittenToLegacy")
    assert legacy.rows("SELECT id, hostname FROM servers") == [("first", SERVER["hostname"])]
    assert log.types(site.ref("Server", "first")) == []

    rollouts.change("Server", targetPhase="DualWrite")
    status = rollouts.await_status("Server", phase="DualWrite", state="Complete")
    assert rollouts.row("Server")["EPOCH"] == "2"
    assert status["history"][0]["result"] == "Promoted"
    assert status["history"][0]["trigger"] == "Auto"
    assert status["history"][0]["actor"] == "system"
    until(lambda: log.types(site.ref("Server", "first")), "what only the table had is recorded")
    site.create("Server", "second", {**SERVER, "hostname": "db-2.example"})
    site.await_ready("Server", "second")

    rollouts.change("Server", targetPhase="ProjectionOnly")
    rollouts.await_status("Server", state="Soaking", criteriaSummary="2/2")
    row = rollouts.row("Server")
    assert (row["STATE"], row["CRITERIA"], row["PARITY"]) == ("Soaking", "2/2", "0 at 100%")
    assert row["SOAK"].endswith("of 2s")
    status = rollouts.await_status("Server", phase="ProjectionOnly", state="Complete")
    assert status["history"][0]["evidence"] == [
        {"name": "parity", "result": "Pass", "value": "0"},
        {"name": "coverage", "result": "Pass", "value": "1"},
    ]
    assert rollouts.condition("Server")["status"] == "True"
    until(
        lambda: rollouts.condition("Server", "RollbackSafe")["status"] == "True",
        "every row is compared in the new phase",
    )

    site.change("Server", "first", criticality="low")
    until(
        lambda: legacy.rows("SELECT criticality FROM servers WHERE id = 'first'") == [("low",)],
        "the table is fed from the log",
    )
    assert transitions(log, "server") == [
        (None, "Legacy"),
        ("Legacy", "DualWrite"),
        ("DualWrite", "ProjectionOnly"),
    ]
    assert operator.metric("eatool_rollout_phase", entity="server", phase="ProjectionOnly") == 1
    assert operator.metric("eatool_rollout_phase_number", entity="server") == 2
    assert operator.metric("eatool_rollout_phase_epoch", entity="server") == 3
    assert operator.metric("eatool_rollout_state", entity="server", state="Complete") == 1
    assert operator.metric("eatool_leader") == 1
    to = {"entity": "server", "to": "ProjectionOnly", "result": "Promoted", "trigger": "Auto"}
    assert operator.metric("eatool_rollout_transitions_total", **to) == 1


def test_a_gate_waits_for_a_person_and_the_name_is_kept(
    operator: Operator,
    site: Site,
    rollouts: RolloutSite,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Goes on where the first left the kind: in ProjectionOnly, whoever declares it again."""
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    monkeypatch.setenv("COLUMNS", "200")
    board = {"name": "change-board", "type": "Manual"}
    last = {"to": "AsyncCommands", "soakTime": "0s", "criteria": [], "gates": [board]}
    rollouts.declare("Server", "AsyncCommands", transitions=[{**last, "autoPromote": True}])
    status = rollouts.await_status("Server", state="AwaitingApproval")
    identity = status["transition"]["id"]
    assert rollouts.condition("Server")["status"] == "True", "a sync of Git must not wait for it"
    assert rollouts.condition("Server", "Approved")["status"] == "False"
    assert identity in status["message"], "what an approval has to name"

    rollouts.approve("Server", "server-1-dualwrite")
    rollouts.approve("Server", f"{identity}/another")
    rollouts.change("Server", progressDeadline="300h")
    until(lambda: rollouts.condition("Server"), "both approvals were looked at")
    assert rollouts.status("Server")["state"] == "AwaitingApproval", "nobody is convinced"
    said = CliRunner().invoke(rollout, ["status", "server"])
    assert "the event log decides; the legacy table is kept up to date" in said.output
    assert "to stay: parity: ParityMismatches == 0, it is" in said.output
    assert f"eatool rollout approve server --transition {identity}" in " ".join(said.output.split())
    refused = CliRunner().invoke(rollout, ["approve", "server", "--transition", "server-1-x"])
    assert refused.exit_code == 1
    assert f"the next transition is {identity}" in refused.output
    rollouts.approve("Server", f"{identity}/change-board")
    status = rollouts.await_status("Server", phase="AsyncCommands", state="Complete")
    newest = status["history"][0]
    assert (newest["trigger"], newest["actor"]) == ("Approval", "kubectl-annotate")
    told = CliRunner().invoke(rollout, ["history", "server", "--store", operator.store_url])
    assert "ProjectionOnly to AsyncCommands" in " ".join(told.output.split()), told.output

    site.change("Server", "first", criticality="critical")
    site.await_ready("Server", "first")
    lower = '{"spec": {"targetPhase": "ProjectionOnly"}}'
    rollouts.kubectl("patch", "esr", "server", "--type=merge", "-p", lower)
    status = rollouts.await_status("Server", phase="ProjectionOnly", state="Complete")
    newest = status["history"][0]
    assert (newest["result"], newest["trigger"]) == ("RolledBack", "Spec")
    assert newest["actor"] == "kubectl-patch"
    assert [each["name"] for each in newest["evidence"]] == ["parity"]


def test_killed_in_the_middle_of_a_transition_it_goes_on(
    operator: Operator, site: Site, rollouts: RolloutSite, ledger: SqlLedger, log: Log
) -> None:
    before = transitions(log, "server")
    rollouts.declare("Server", "ProjectionOnly", transitions=[AT_ONCE, JUDGED])
    rollouts.await_status("Server", phase="ProjectionOnly", state="Complete")
    # A peer that is alive and never ready keeps the transition open until it counts as dead.
    ledger.heartbeat("stuck", {"server": 0})
    rollouts.change("Server", targetPhase="DualWrite")
    until(lambda: ledger.standings()["server"].preparing, "the way back is announced")
    operator.kill()
    assert ledger.standings()["server"].preparing is Phase.DUAL_WRITE
    operator.start_and_wait()
    rollouts.await_status("Server", phase="DualWrite", state="Complete")
    assert transitions(log, "server") == [*before, ("ProjectionOnly", "DualWrite")]
    site.change("Server", "second", criticality="low")
    site.await_ready("Server", "second")


def test_a_table_that_is_not_adopted_is_said_so(rollouts: RolloutSite, operator: Operator) -> None:
    rollouts.declare("Application", "DualWrite")
    until(lambda: rollouts.condition("Application"), "there is a word about it")
    told = rollouts.condition("Application", "Stalled")
    assert (told["status"], told["reason"]) == ("True", "TableNotAdopted")
    assert "table applications" in told["message"]


@pytest.fixture
def peer(
    operator: Operator, proxy: FaultProxy, directory: Path, site: Site, settings: dict[str, Any]
) -> Operator:
    options = {"namespaces": site.namespace, "store_url": operator.store_url, **settings}
    return Operator(proxy.kubeconfig, directory, "peer", **options)


def test_two_operators_and_one_of_them_decides(
    operator: Operator, peer: Operator, rollouts: RolloutSite
) -> None:
    rollouts.declare("Server", "DualWrite", transitions=[AT_ONCE, JUDGED])
    with running(peer):
        peer_epoch = {"entity": "server"}
        until(lambda: peer.metric("eatool_rollout_phase_epoch", **peer_epoch), "the peer knows")
        rollouts.change("Server", targetPhase="ProjectionOnly")
        rollouts.await_status("Server", phase="ProjectionOnly", state="Complete")
        epoch = rollouts.status("Server")["phaseEpoch"]
        until(
            lambda: all(
                each.metric("eatool_rollout_phase_epoch", entity="server") == epoch
                for each in (operator, peer)
            ),
            "both write under the new epoch",
        )
        complete = {"entity": "server", "state": "Complete"}
        deciding = [each.metric("eatool_rollout_state", **complete) for each in (operator, peer)]
        leading = [each.metric("eatool_leader") for each in (operator, peer)]
        assert sorted(deciding) == [0, 1]
        assert leading == deciding
