"""A registry of 5,000 rows and their dirt moves into the log, phase by phase, under load.

Everything but the API server is as in production: registry, ledger, workers, follower, parity and
the machine that decides. People declare changes all the time; the old application writes to its
tables in every phase. At each transition an operator is killed in the middle of it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError
from tests.legacy.registry import OldRegistry, filled
from tests.proofs.rollout.live import Live, journalled, spec_of
from tests.proofs.rollout.operators import (
    KIND,
    NAMESPACE,
    Operator,
    Rollout,
    cut_off,
    operator,
    until,
)
from tests.proofs.rollout.sides import Sides
from tests.proofs.rollout.victims import ANNOUNCED, APPENDED, BEFORE, killed_on_the_way
from tests.proofs.sides import Side
from tests.store.stores import DATABASES, database_url

from eatool.commands.port import Operation
from eatool.domain.kinds import upcast
from eatool.projections.rebuild import verify
from eatool.registry.change import Change, Source
from eatool.registry.outcome import Unavailable
from eatool.rollout.comparison import Verdict
from eatool.rollout.ledger import Trigger
from eatool.rollout.phases import Phase
from eatool.rollout.process import RolloutProcess
from eatool.store.clock import utc_now
from eatool.store.port import StaleEpoch
from eatool.store.verify import verify_chain

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

#: Of 5,000 rows.
_SCALE = float(os.environ.get("EATOOL_PROOF_SCALE", "1"))


@dataclass
class Story:
    """What is known outside the product; ``expected``: description by entity, ``None`` = gone."""

    old: OldRegistry
    sides: Sides
    folder: Path
    live: Live = field(default_factory=lambda: Live("live"))
    expected: dict[str, str | None] = field(default_factory=dict)
    written: int = 0

    @property
    def dirt(self) -> set[str]:
        return {name for table, name in self.old.built.refused if table == KIND.table}

    def sound(self) -> list[str]:
        return [row["id"] for row in self.old.built.rows[KIND.table] if row["id"] not in self.dirt]

    def described(self) -> list[str]:
        """Sound ones that have a description to be edited."""
        rows = self.old.built.rows[KIND.table]
        return [row["id"] for row in rows if row["description"] and row["id"] not in self.dirt]

    def kill(self, to: Phase, where: str) -> None:
        """Lead the rollout to ``to`` and be killed; what was accepted before is owed."""
        journal = self.folder / f"accepted-{to}"
        code = killed_on_the_way(self.old.url, to, where, journal)
        assert code == -9, f"not killed: {code}"
        self.expected |= journalled(journal)

    def write_directly(self, *, counts: bool) -> None:
        """As the old application: an edit, a new row, an end; ``counts``: it is authoritative."""
        self.written += 1
        edited = self.described()[self.written]
        before = self.sides.legacy(self.dirt)
        self.sides.describe(edited, f"direct {self.written}")
        self.sides.insert(f"direct-{self.written}", "new")
        gone = f"direct-{self.written - 1}"
        self.sides.remove(gone)
        if counts:
            self.expected |= {
                edited: f"direct {self.written}",
                f"direct-{self.written}": "new",
                gone: None,
            }
        else:
            self.expected |= {edited: before[edited]["description"]}
            self.expected.setdefault(f"direct-{self.written}", None)

    async def holds(self, mine: Operator, *, but_dirt: bool = False) -> Side:
        """All three sides agree to the last field, and say everything that was accepted."""
        async with self.live.quiet() as accepted:
            said = await self.sides.agree(mine, but=self.dirt if but_dirt else ())
            owed = {**self.expected, **accepted}
            told = {name: said.get(name, {}).get("description") for name in owed}
            assert told == owed
            assert {name for name, what in owed.items() if what is None}.isdisjoint(said)
            return said


@pytest.fixture(params=DATABASES)
def story(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Story]:
    url = database_url(request.param, tmp_path, request)
    old = filled(url, _SCALE)
    sides = Sides(url)
    yield Story(old, sides, tmp_path)
    sides.close()


# Operators that are cut off or thrown away like dead ones leave their connections to the collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_registry_moves_into_the_log_and_loses_nothing(story: Story) -> None:
    await asyncio.to_thread(story.old.run, "adopt")
    imported = await asyncio.to_thread(story.old.run, "import")
    assert imported.exit_code == 1, imported.output  # it tells of the dirt
    events = await asyncio.to_thread(story.old.events)
    assert len(events) == story.old.built.total - len(story.old.built.refused)

    rollout = Rollout(Phase.LEGACY)
    await legacy(story, rollout)
    await asyncio.to_thread(story.kill, Phase.DUAL_WRITE, ANNOUNCED)
    await dual_write(story, rollout)
    await asyncio.to_thread(story.kill, Phase.PROJECTION_ONLY, BEFORE)
    await projection_only(story, rollout)
    await asyncio.to_thread(story.kill, Phase.ASYNC_COMMANDS, APPENDED)
    await async_commands(story, rollout)
    assert story.live.outcomes.keys() == {"WrittenToLegacy", "Recorded", "Queued"}


async def legacy(story: Story, rollout: Rollout) -> None:
    """Rows alone are written; the log hears of the rollout and of nothing else."""
    async with operator(story.old.url, "first", rollout) as mine:
        await mine.arrive(Phase.LEGACY)
        head = mine.opened.store.read_all(limit=100_000)[-1].position
        async with story.live.on(mine):
            await story.live.some(100)
            story.write_directly(counts=True)
        assert story.live.outcomes.keys() == {"WrittenToLegacy"}
        assert mine.opened.store.read_all(after=head) == []


async def dual_write(story: Story, rollout: Rollout) -> None:
    """The legacy table decides, the log follows; what cannot be recorded is told row by row."""
    async with operator(story.old.url, "second", rollout) as mine, story.live.on(mine):
        await mine.reach(Phase.DUAL_WRITE)
        story.write_directly(counts=True)
        await story.holds(mine, but_dirt=True)
        await until(lambda: _refused(mine) == story.dirt, "the dirt is told")
        assert story.dirt
        await _held_back_by_dirt(mine)
        story.sides.remove(*story.dirt)
        await story.holds(mine)
        recorded = mine.opened.store.read_stream(f"{KIND.aggregate_type}/{NAMESPACE}/direct-2")
        assert [event.metadata["source"] for event in recorded] == [Source.LEGACY]

        await mine.reach(Phase.LEGACY)
        await story.live.some(30)
        story.write_directly(counts=True)
        await mine.reach(Phase.DUAL_WRITE)
        await story.holds(mine)


async def _held_back_by_dirt(mine: Operator) -> None:
    mine.seen.clear()
    mine.rollout.edit(Phase.PROJECTION_ONLY)
    await until(lambda: ("Blocked", ("errors",)) in mine.seen, "the dirt blocks the promotion")
    mine.rollout.edit(Phase.DUAL_WRITE)
    await until(lambda: mine.rollout.status["state"] == "Complete", "it stays where it is")
    assert mine.standing.phase is Phase.DUAL_WRITE


async def projection_only(story: Story, rollout: Rollout) -> None:
    """The log decides; what is written past it is undone."""
    async with operator(story.old.url, "third", rollout) as mine, story.live.on(mine):
        await mine.reach(Phase.PROJECTION_ONLY)
        story.write_directly(counts=False)
        await story.holds(mine)
        assert mine.process.findings.get(KIND.aggregate_type, f"direct-{story.written}")

        async with cut_off(story.old.url, "cut off") as older:
            await mine.reach(Phase.DUAL_WRITE)
            await _refused_under_the_old_epoch(older, story)
        story.write_directly(counts=True)
        await story.holds(mine)
        await mine.reach(Phase.PROJECTION_ONLY)
        await story.holds(mine)
        await _corruption_leads_back(story, mine)
        await story.holds(mine)


async def _refused_under_the_old_epoch(older: RolloutProcess, story: Story) -> None:
    old = older.view.of(KIND.aggregate_type)
    assert old is not None
    assert old.phase is Phase.PROJECTION_ONLY
    ref = KIND.ref(NAMESPACE, "late")
    late = Change(ref=ref, uid="uid-late", generation=1, spec=spec_of("late", 0))
    assert isinstance(await older.registry.apply(late), Unavailable)
    with pytest.raises(StaleEpoch):
        await older.registry.record(late, Operation.APPLY, old)
    story.expected["late"] = None


async def _corruption_leads_back(story: Story, mine: Operator) -> None:
    """Found by the next sweep, repaired; the kind goes back by itself and may not come again
    before the mismatch is out of the window."""
    await until(lambda: _confirmed(mine) == 0, "no mismatch is in the window")
    mine.seen.clear()
    mine.rollout.edit(Phase.PROJECTION_ONLY, falls_back=True)
    # A sweep under way would write its own time over ours.
    await until(lambda: _rests(mine), "the sweep after the change of phase is through")
    victim = story.sound()[-1]
    story.sides.write("UPDATE read_applications SET owner = 'Nobody' WHERE id = :id", id=victim)
    _let_an_hour_pass(mine)
    await mine.arrive(Phase.DUAL_WRITE)
    fallen = mine.process.ledger.history(KIND.aggregate_type, 1)[0]
    assert fallen.cause.trigger is Trigger.FAILURE
    assert [each["result"] for each in fallen.cause.evidence] == ["Fail"]
    await mine.arrive(Phase.PROJECTION_ONLY)
    assert any(state == "Blocked" and "parity" in failing for state, failing in mine.seen)
    found = mine.process.findings.get(KIND.aggregate_type, victim)
    assert found is not None
    assert (found.verdict, found.fields) == (Verdict.MISMATCH, ("owner",))
    assert found.resolved_at is not None


def _rests(mine: Operator) -> bool:
    sweep = mine.process.findings.sweep(KIND.aggregate_type)
    return (
        sweep is not None
        and sweep.epoch == mine.standing.epoch
        and sweep.cursor is None
        and sweep.swept_at is not None
    )


def _let_an_hour_pass(mine: Operator) -> None:
    """Since the last sweep, so that the next one is due."""
    findings = mine.process.findings
    sweep = findings.sweep(KIND.aggregate_type)
    assert sweep is not None
    assert sweep.swept_at is not None
    earlier = sweep.swept_at - timedelta(hours=1)
    findings.put_sweep(KIND.aggregate_type, replace(sweep, swept_at=earlier))


def _confirmed(mine: Operator) -> int:
    since = utc_now() - timedelta(seconds=4)
    return mine.process.findings.of(
        KIND.aggregate_type, epoch=mine.standing.epoch, since=since
    ).confirmed


def _refused(mine: Operator) -> set[str]:
    told = mine.process.findings.open(KIND.aggregate_type, limit=10_000)
    return {each.id for each in told if each.verdict is Verdict.ERROR}


async def async_commands(story: Story, rollout: Rollout) -> None:
    """Changes are queued, tables follow; then the legacy table goes, and the log is all."""
    async with operator(story.old.url, "fourth", rollout) as mine, story.live.on(mine):
        await mine.reach(Phase.ASYNC_COMMANDS)
        story.write_directly(counts=False)
        await story.holds(mine)
        await mine.reach(Phase.PROJECTION_ONLY)
        await story.live.some(30)
        await story.holds(mine)
        await mine.reach(Phase.ASYNC_COMMANDS)
        said = await story.holds(mine)
        assert set(story.sound()) <= said.keys()
        await _retires(story, mine)


async def _retires(story: Story, mine: Operator) -> None:
    mine.rollout.edit(Phase.RETIRED)
    await until(
        lambda: mine.rollout.status["state"] == "AwaitingApproval",
        lambda: str(mine.rollout.status),
    )
    approval = {"transitionID": mine.rollout.status["transition"]["id"], "gate": "promote"}
    mine.rollout.edit(Phase.RETIRED, approvals=[{**approval, "reason": "nobody reads it"}])
    await mine.arrive(Phase.RETIRED)
    retired = f"{KIND.table}_retired_{mine.standing.since:%Y%m%d}"
    await until(lambda: retired in story.sides.tables(), "the table is renamed")
    assert KIND.table not in story.sides.tables()
    mine.rollout.edit(Phase.RETIRED, retire={"approveDrop": retired})
    await until(lambda: "is kept until 2" in mine.rollout.status["message"], "it is kept for days")
    assert retired in story.sides.tables()
    with pytest.raises(DBAPIError):
        story.sides.describe(story.sound()[0], "too late")

    await story.live.some(20)
    async with story.live.quiet() as accepted:
        await until(lambda: story.sides.read() == story.sides.log(mine), "the tables follow")
        said = story.sides.log(mine)
    owed = {**story.expected, **accepted}
    assert {name: said.get(name, {}).get("description") for name in owed} == owed
    assert set(story.sound()) <= said.keys()
    assert verify_chain(mine.opened.store).sound
    assert verify(mine.opened.store, [KIND.aggregate_type], upcast=upcast).sound
