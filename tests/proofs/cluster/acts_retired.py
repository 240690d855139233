"""The acts in which the servers have nothing but the log, and what is left of everything."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import inspect, text, update
from tests.operator.operators import until
from tests.proofs.cluster.marks import told
from tests.proofs.cluster.mortal import Fate
from tests.proofs.cluster.stage import APPLICATION, SERVER, WALKERS, Stage
from tests.proofs.sides import legacy_side, log_sides, read_side

from eatool.domain.kinds import KINDS, by_kind
from eatool.rollout.dropping import TABLE_DROPPED
from eatool.rollout.ledger import stream_of
from eatool.rollout.phases import Phase
from eatool.rollout.tables import rollout as rollouts

_OTHERS = [kind for kind in KINDS.values() if kind not in WALKERS]


def retired(stage: Stage, first: Fate | None, second: Fate | None) -> None:
    """On a person's word. The table says what the log said then, and nobody can write it."""
    stage.agree(*WALKERS)
    stage.aim(Phase.RETIRED, SERVER)
    stage.rollouts.await_status(SERVER.kind, state="AwaitingApproval")
    assert stage.lists()["server"]["STATE"] == "AwaitingApproval"
    identity = stage.rollouts.status(SERVER.kind)["transition"]["id"]
    command = f"eatool rollout approve server --transition {identity}"
    shown = " ".join(stage.shows("status", "server").split())
    assert command in shown
    assert "ok rebuild: RebuildDifferences == 0, it is 0" in shown
    assert "ok to stay: parity: ParityMismatches == 0, it is 0" in shown
    stage.shows("approve", "server", "--transition", identity, "--yes")
    stage.await_kill(Phase.RETIRED)
    assert stage.standing(SERVER).phase is Phase.ASYNC_COMMANDS
    stage.operator.meet(first)
    stage.operator.await_death()
    stage.kills += 1
    assert stage.standing(SERVER).phase is Phase.ASYNC_COMMANDS
    assert SERVER.table in _tables(stage), "phase and table change together, or not at all"
    stage.people.edit(SERVER.kind, "kubectl after the last transition")
    stage.operator.begin(second)
    until(lambda: _retired_name(stage) in _tables(stage), "the table is renamed")
    assert SERVER.table not in _tables(stage)
    stage.arrive(Phase.RETIRED, SERVER)
    assert stage.old.is_refused(SERVER, SERVER.table)
    assert stage.old.is_refused(SERVER, _retired_name(stage))
    last = stage.rollouts.status(SERVER.kind)["history"][0]["eventPosition"]
    table = legacy_side(stage.store.engine, SERVER, table=_retired_name(stage))
    assert table == log_sides(stage.store, stage.namespace, [SERVER], until=last)["server"]


def _retired_name(stage: Stage) -> str:
    return f"{SERVER.table}_retired_{stage.standing(SERVER).since:%Y%m%d}"


def _tables(stage: Stage) -> list[str]:
    return inspect(stage.store.engine).get_table_names()


def dropped(stage: Stage) -> None:
    """Only when a person has said so of this very table, and only when its days are over."""
    name = _retired_name(stage)
    assert stage.rollouts.status(SERVER.kind)["retiredTable"] == name
    _await_message(stage, f"the legacy table is kept as {name} until spec.retire.approveDrop")
    stage.rollouts.change(SERVER.kind, retire={"approveDrop": SERVER.table})
    _await_message(stage, f"spec.retire.approveDrop names {SERVER.table}, but")
    stage.rollouts.change(SERVER.kind, retire={"approveDrop": name})
    _await_message(stage, "the legacy table is kept until 2")
    stage.rollouts.change(SERVER.kind, retire={"approveDrop": None})
    with stage.store.transaction() as connection:
        mine = rollouts.c.aggregate_type == SERVER.aggregate_type
        since = stage.standing(SERVER).since - timedelta(days=15)
        connection.execute(update(rollouts).where(mine).values(since=since))
        # As if it had retired then.
        recent, name = name, f"{SERVER.table}_retired_{since:%Y%m%d}"
        connection.execute(text(f"ALTER TABLE {recent} RENAME TO {name}"))
    _await_message(stage, f"the legacy table is kept as {name} until spec.retire.approveDrop")
    assert name in _tables(stage)
    approval = f'{{"spec": {{"retire": {{"approveDrop": "{name}"}}}}}}'
    stage.rollouts.kubectl("patch", "esr", "server", "--type=merge", "-p", approval)
    until(lambda: name not in _tables(stage), "the table is dropped")
    newest = stage.store.read_stream(stream_of(SERVER.aggregate_type))[-1]
    assert (newest.type, newest.data["table"]) == (TABLE_DROPPED, name)
    assert newest.actor == "kubectl-patch"


def _await_message(stage: Stage, start: str) -> None:
    def told() -> bool:
        body = stage.rollouts.find(SERVER.kind)
        current = body["status"]["observedGeneration"] == body["metadata"]["generation"]
        return bool(current and body["status"]["message"].startswith(start))

    until(told, f"servers: {start}")


def at_the_end(stage: Stage) -> None:
    """Nobody has lost anything: three sides, or two, agree, and each object is as declared."""
    stage.operator.stop()
    stage.operator.begin()
    stage.people.edit_every_kind("kubectl at the end")
    stage.people.site.await_current()
    stage.agree(APPLICATION, *_OTHERS)
    log = log_sides(stage.store, stage.namespace, KINDS.values())
    assert read_side(stage.store.engine, SERVER, stage.namespace) == log["server"]
    owed = stage.people.owed | stage.old.owed
    assert told(owed, log) == owed
    for body in stage.people.site.list():
        kind = by_kind(body["kind"])
        declared = kind.spec.model_validate(body["spec"]).model_dump(mode="json", by_alias=False)
        assert log[kind.aggregate_type][body["metadata"]["name"]] == declared
    shown = stage.lists()
    phases = dict.fromkeys((kind.kind for kind in _OTHERS), "DualWrite")
    phases |= {"Server": "Retired", "Application": "AsyncCommands"}
    assert {row["KIND"]: row["PHASE"] for row in shown.values()} == phases
    assert {row["STATE"] for row in shown.values()} == {"Complete"}
    stage.shows("status")
