"""The acts in which the log decides and the legacy tables follow."""

from __future__ import annotations

from tests.operator.operators import until
from tests.proofs.cluster.mortal import DEAF, Fate
from tests.proofs.cluster.operators import MortalOperator
from tests.proofs.cluster.stage import APPLICATION, SERVER, WALKERS, Stage

from eatool.rollout.comparison import Verdict
from eatool.rollout.findings import Findings
from eatool.rollout.phases import Phase


def projection_only(stage: Stage, fate: Fate | None) -> None:
    """The log decides. The old application has ended its writes to tables that are fed from it."""
    stage.aim(Phase.PROJECTION_ONLY, *WALKERS)
    stage.await_kill(Phase.PROJECTION_ONLY)
    stage.old.edit(SERVER, "old team just before ProjectionOnly")
    stage.people.edit(SERVER.kind, "kubectl just before ProjectionOnly")
    stage.operator.begin(fate)
    stage.arrive(Phase.PROJECTION_ONLY, *WALKERS)
    stage.people.edit_every_kind("kubectl in ProjectionOnly")
    stage.old.edit_every_kind("old team in ProjectionOnly", but=WALKERS)
    stage.agree(*WALKERS)


def older_operator(stage: Stage, deaf: MortalOperator, fate: Fate | None) -> None:
    """It missed that the phase went back, is the only one there, and can write nothing."""
    deaf.begin(DEAF)
    stage.aim(Phase.DUAL_WRITE, *WALKERS)
    stage.await_kill(Phase.DUAL_WRITE)
    stage.operator.begin(fate)
    stage.arrive(Phase.DUAL_WRITE, *WALKERS)
    older, newer = (
        each.metric("eatool_rollout_phase_epoch", entity="server")
        for each in (deaf, stage.operator)
    )
    assert older < newer == stage.standing(SERVER).epoch
    with stage.quiet():
        stage.operator.stop()
        before = stage.head()
        name = stage.people.edit(SERVER.kind, "kubectl to the older operator")
        until(lambda: _fenced(deaf) > 0, "the older operator is refused")
        stage.people.site.await_reason(SERVER.kind, name, "StoreUnavailable")
        assert stage.head() == before
        assert stage.old.said(SERVER, name) != "kubectl to the older operator"
    deaf.kill()
    stage.operator.begin(fate)
    stage.old.edit_every_kind("old team after the way back")
    stage.agree(*WALKERS)
    stage.move(Phase.PROJECTION_ONLY, *WALKERS)
    stage.agree(*WALKERS)


def _fenced(operator: MortalOperator) -> float:
    return operator.metric("eatool_append_duration_seconds_count", result="fenced")


def corrupted(stage: Stage) -> None:
    """A projection row and a forbidden write: found, rewritten; the kinds go back by themselves."""
    victim, written = stage.old.unedited(SERVER), stage.old.unedited(APPLICATION)
    right = {
        SERVER: stage.old.said(SERVER, victim),
        APPLICATION: stage.old.said(APPLICATION, written),
    }
    with stage.store.transaction() as connection:
        connection.exec_driver_sql(
            f"UPDATE read_servers SET owning_team = 'corrupted' WHERE id = '{victim}'"
        )
    stage.old.mark(APPLICATION, written, "not any more")
    stage.rollouts.await_status(SERVER.kind, phase="DualWrite", state="Blocked")
    row = stage.lists()["server"]
    assert (row["PHASE"], row["TARGET"], row["STATE"], row["READY"]) == (
        "DualWrite",
        "ProjectionOnly",
        "Blocked",
        "False",
    )
    assert "FAIL parity: ParityMismatches == 0, it is 1" in stage.shows("status", "server")
    for kind in WALKERS:
        stage.rollouts.await_status(kind.kind, phase="DualWrite", state="Blocked")
        newest = stage.rollouts.status(kind.kind)["history"][0]
        assert (newest["result"], newest["trigger"]) == ("RolledBack", "Failure")
        stage.an_hour_passes(kind)
    stage.arrive(Phase.PROJECTION_ONLY, *WALKERS)
    sides = stage.agree(*WALKERS)
    assert sides["server"][victim]["owning_team"] == right[SERVER]
    assert sides["application"][written]["description"] == right[APPLICATION]
    found = Findings(stage.store.engine).get("server", victim)
    assert found is not None
    assert (found.verdict, found.fields) == (Verdict.MISMATCH, ("owning_team",))


def async_commands(stage: Stage, fate: Fate | None) -> None:
    """Changes are queued, tables follow."""
    stage.aim(Phase.ASYNC_COMMANDS, *WALKERS)
    stage.await_kill(Phase.ASYNC_COMMANDS)
    stage.people.edit(SERVER.kind, "kubectl just before AsyncCommands")
    stage.operator.begin(fate)
    stage.arrive(Phase.ASYNC_COMMANDS, *WALKERS)
    stage.people.edit_every_kind("kubectl in AsyncCommands")
    stage.old.edit_every_kind("old team in AsyncCommands", but=WALKERS)
    stage.agree(*WALKERS)


def back_by_itself(stage: Stage, fate: Fate | None) -> None:
    """A forbidden write leads the servers back, the spec the applications; and forth again."""
    stage.old.edit(SERVER, "not any more", counts=False)
    stage.aim(Phase.PROJECTION_ONLY, APPLICATION)
    stage.await_kill(Phase.PROJECTION_ONLY)
    stage.people.edit(SERVER.kind, "kubectl while servers go back")
    stage.operator.begin(fate)
    stage.rollouts.await_status(SERVER.kind, phase="ProjectionOnly", state="Blocked")
    stage.arrive(Phase.PROJECTION_ONLY, APPLICATION)
    newest = stage.rollouts.status(SERVER.kind)["history"][0]
    assert (newest["result"], newest["trigger"]) == ("RolledBack", "Failure")
    stage.an_hour_passes(SERVER)
    stage.people.edit_every_kind("kubectl on the way back")
    stage.agree(*WALKERS)
    stage.aim(Phase.ASYNC_COMMANDS, *WALKERS)
    released(stage)
    stage.arrive(Phase.ASYNC_COMMANDS, *WALKERS)


def released(stage: Stage) -> None:
    """Whoever went back by itself twice goes on when a person says so."""
    stage.rollouts.await_status(SERVER.kind, state="Held")
    assert stage.lists()["server"]["STATE"] == "Held"
    identity = stage.rollouts.status(SERVER.kind)["transition"]["id"]
    stage.shows("approve", "server", "--transition", identity, "--gate", "held", "--yes")
