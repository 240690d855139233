"""The acts in which the legacy tables decide."""

from __future__ import annotations

from pathlib import Path

from tests.operator.operators import until
from tests.proofs.cluster.mortal import Fate
from tests.proofs.cluster.stage import SERVER, WALKERS, Stage

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.rollout.comparison import Verdict
from eatool.rollout.findings import Findings
from eatool.rollout.phases import Phase


def adopted(stage: Stage, folder: Path, fate: Fate | None) -> None:
    """What was imported is declared with kubectl, and nothing is recorded for it."""
    before = stage.head()
    stage.operator.begin(fate)
    stage.people.adopt(folder / "declared")
    stage.people.site.await_current(seconds=120)
    assert stage.head() == before


def legacy(stage: Stage) -> None:
    """Rows alone are written; the log hears of nine rollouts and of nothing else."""
    stage.declare(Phase.LEGACY)
    stage.arrive(Phase.LEGACY, *KINDS.values())
    before = stage.head()
    stage.people.edit_every_kind("kubectl in Legacy")
    for kind in KINDS.values():
        name = stage.people.first(kind.kind)
        stage.people.site.await_reason(kind.kind, name, "WrittenToLegacy")
        assert stage.old.said(kind, name) == "kubectl in Legacy"
    stage.old.edit_every_kind("old team in Legacy")
    assert stage.events(after=before) == []
    shown = stage.lists()
    assert {row["PHASE"] for row in shown.values()} == {"Legacy"}
    assert len(shown) == len(KINDS)


def dual_write(stage: Stage, fate: Fate | None) -> None:
    """The legacy tables decide and the log follows, but for what no log can hold."""
    stage.aim(Phase.DUAL_WRITE, *KINDS.values())
    stage.await_kill(Phase.DUAL_WRITE)
    stage.people.edit(SERVER.kind, "kubectl without an operator")
    stage.old.edit(SERVER, "old team without an operator")
    stage.operator.begin(fate)
    stage.arrive(Phase.DUAL_WRITE, *KINDS.values())
    stage.people.edit_every_kind("kubectl in DualWrite")
    stage.old.edit_every_kind("old team in DualWrite")
    stage.agree(*KINDS.values(), but_dirt=True)
    until(lambda: _refused(stage) == stage.old.dirt, "the dirt is told")
    _held_back_by_dirt(stage)
    stage.old.clean_up()
    stage.agree(*KINDS.values())
    assert not any(_refused(stage).values())


def _held_back_by_dirt(stage: Stage) -> None:
    stage.aim(Phase.PROJECTION_ONLY, *WALKERS)
    for kind in WALKERS:
        dirty = len(stage.old.dirt[kind.aggregate_type])
        assert dirty

        def is_held(kind: EntityKind = kind, dirty: int = dirty) -> bool:
            status = stage.rollouts.status(kind.kind)
            results = {each["name"]: each for each in status.get("criteria", ())}
            errors = results.get("errors", {})
            return (status.get("state"), errors.get("result"), errors.get("value")) == (
                "Blocked", "Fail", str(dirty),
            )  # fmt: skip

        until(is_held, f"the dirt of {kind.kind} holds it back", seconds=60)
        assert f"{dirty} in error" in stage.lists()[kind.kind.lower()]["PARITY"]
    stage.move(Phase.DUAL_WRITE, *WALKERS)


def _refused(stage: Stage) -> dict[str, set[str]]:
    """Rows that cannot be recorded, by kind."""
    findings = Findings(stage.store.engine)
    return {
        kind: {
            each.id for each in findings.open(kind, limit=10_000) if each.verdict is Verdict.ERROR
        }
        for kind in KINDS
    }


def back_to_legacy(stage: Stage, fate: Fate | None) -> None:
    """And forth again: what the tables got meanwhile is recorded afterwards."""
    stage.aim(Phase.LEGACY, *WALKERS)
    stage.await_kill(Phase.LEGACY)
    stage.old.edit(SERVER, "old team on the way back")
    stage.operator.begin(fate)
    stage.arrive(Phase.LEGACY, *WALKERS)
    stage.people.edit_every_kind("kubectl in Legacy again")
    stage.old.edit_every_kind("old team in Legacy again")
    stage.move(Phase.DUAL_WRITE, *WALKERS)
    stage.agree(*WALKERS)
