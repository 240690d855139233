"""Dirty keys, second looks, sweeps, and what is kept of what they find."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select
from tests.rollout.phased import CAUSE, KIND, Site, make_old_registry, site

from eatool.legacy.tables import legacy_change
from eatool.legacy.writing import LegacyRows
from eatool.registry.outcome import Queued
from eatool.rollout import effective
from eatool.rollout.comparison import EXISTENCE, Verdict, compare, snapshot
from eatool.rollout.criteria import Outcome, evaluate
from eatool.rollout.declared import EventSourcingRolloutSpec, When
from eatool.rollout.findings import PATIENCE, Findings
from eatool.rollout.ignoring import Ignored, Rule
from eatool.rollout.measuring import Figures, Inline
from eatool.rollout.parity import Verifier
from eatool.rollout.phases import Phase
from eatool.rollout.repair import Repair
from eatool.rollout.samples import Samples
from eatool.rollout.sweep import Sweeper, compare_chunk
from eatool.store.clock import utc_now

ORGANIZATION = KIND.aggregate_type
SPEC = EventSourcingRolloutSpec.model_validate({"entityKind": KIND.kind, "targetPhase": "Retired"})


@pytest.fixture
async def one(url: str) -> AsyncIterator[Site]:
    make_old_registry(url)
    async with site(url) as opened:
        yield opened


def dirty(one: Site) -> int:
    with one.store.engine.connect() as connection:
        return connection.scalars(select(func.count()).select_from(legacy_change)).one()


def corrupt(one: Site, name: str, title: str) -> None:
    one.write("UPDATE read_organizations SET name = :name WHERE id = :id", id=name, name=title)


def another_verifier(
    one: Site, ignored: dict[str, Ignored] | None = None, grace: float = 0.0
) -> Verifier:
    """One with rules, or more patience, than the site's own."""
    repair = Repair(one.registry, one.legacy, one.store, "default")
    return Verifier(
        one.store.engine,
        one.view,
        repair,
        one.findings,
        namespace="default",
        ignored=ignored,
        grace=grace,
    )


async def test_in_legacy_dirty_keys_mean_nothing(one: Site) -> None:
    one.insert("shop", "Shop")
    assert dirty(one) == 1
    assert await one.verifier.once() == 0
    assert dirty(one) == 0
    assert one.findings.open(ORGANIZATION) == []


async def test_direct_writes_in_dual_write_are_recorded_and_no_mismatch(one: Site) -> None:
    await one.enter(Phase.DUAL_WRITE)
    one.insert("shop", "Shop")
    await one.settle()
    one.rename("shop", "Store")
    await one.settle()
    assert one.legacy_side() == one.read_side() == one.log_side()
    one.write("DELETE FROM organizations WHERE id = 'shop'")
    await one.settle()
    assert one.legacy_side() == one.read_side() == one.log_side() == {}
    types = [each.type for each in one.store.read_stream("organization/default/shop")]
    assert types == ["OrganizationCreated.v1", "OrganizationRenamed.v1", "OrganizationDeleted.v1"]
    assert one.findings.of(ORGANIZATION, epoch=2).confirmed == 0
    assert dirty(one) == 0


async def test_a_direct_write_keeps_the_incarnation_of_the_declared_object(one: Site) -> None:
    await one.enter(Phase.DUAL_WRITE)
    change = one.change("shop", name="Shop")
    await one.registry.apply(change)
    one.rename("shop", "Store")
    await one.settle()
    last = one.store.read_stream("organization/default/shop")[-1]
    assert (last.metadata["uid"], last.metadata["generation"]) == ("uid-shop", change.generation)
    assert last.metadata["source"] == "legacy"


async def test_a_row_that_the_domain_refuses_stays_a_finding(one: Site) -> None:
    await one.enter(Phase.DUAL_WRITE)
    one.insert("bad", "")
    one.insert("Not A Name", "Shop")
    one.insert("loop", "Loop")
    one.write("UPDATE organizations SET parent_id = 'loop' WHERE id = 'loop'")
    one.insert("orphan", "Orphan")
    one.write("UPDATE organizations SET parent_id = 'nobody' WHERE id = 'orphan'")
    for _ in range(3):
        await one.verifier.once()
    assert dirty(one) == 0
    found = {each.id: each for each in one.findings.open(ORGANIZATION)}
    assert set(found) == {"bad", "Not A Name", "loop", "orphan"}
    assert {each.verdict for each in found.values()} == {Verdict.ERROR}
    assert found["bad"].fields[0].startswith("spec.name")
    assert one.findings.of(ORGANIZATION, epoch=2).errors == 4
    head = one.store.head().position
    await one.sweeper.whole(ORGANIZATION)
    await one.verifier.once()
    assert one.store.head().position == head
    one.rename("bad", "Good")
    one.insert("nobody", "Nobody")
    for _ in range(4):
        await one.sweeper.whole(ORGANIZATION)
        await one.verifier.once()
    assert {each.id for each in one.findings.open(ORGANIZATION)} == {"Not A Name", "loop"}
    assert {"bad", "orphan", "nobody"} == one.read_side().keys()


async def test_a_direct_write_later_is_a_mismatch_and_the_log_wins(one: Site) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    await one.registry.apply(one.change("shop", name="Shop"))
    one.rename("shop", "Direct")
    one.insert("unknown", "Unknown")
    await one.settle()
    assert one.legacy_side() == one.read_side() == one.log_side()
    assert one.legacy_side().keys() == {"shop"}
    figures = one.findings.of(ORGANIZATION, epoch=3)
    assert (figures.confirmed, figures.mismatches) == (2, 0)
    finding = one.findings.get(ORGANIZATION, "shop")
    assert finding is not None
    assert (finding.fields, finding.verdict) == (("name",), Verdict.MISMATCH)
    assert finding.resolved_at is not None


async def test_what_never_could_be_recorded_is_not_taken_away(one: Site) -> None:
    await one.enter(Phase.DUAL_WRITE)
    one.insert("loop", "Loop")
    one.write("UPDATE organizations SET parent_id = 'loop' WHERE id = 'loop'")
    await one.verifier.once()
    await one.enter(Phase.PROJECTION_ONLY)
    one.rename("loop", "Still there")
    for _ in range(3):
        await one.sweeper.whole(ORGANIZATION)
        await one.verifier.once()
    assert one.legacy_side()["loop"]["name"] == "Still there"
    assert one.findings.of(ORGANIZATION, epoch=3).errors == 1


async def test_rows_in_error_hold_every_promotion_until_a_rule_accepts_them(one: Site) -> None:
    rules: dict[str, Ignored] = {ORGANIZATION: {}}
    verifier = another_verifier(one, rules)
    sweeper = Sweeper(one.store.engine, one.view, one.findings, verifier, namespace="default")
    samples = Samples()
    Figures(one.store.engine, one.view.of, one.findings, one.queue, Inline()).supply(samples)

    async def judged() -> dict[str, tuple[Outcome, float | None]]:
        standing = one.view.of(ORGANIZATION)
        assert standing is not None
        while await sweeper.step(ORGANIZATION):
            pass
        for _ in range(3):
            await verifier.once()
        step = effective.step(SPEC, standing.phase)
        assert step is not None
        names = {"parity", "coverage", "errors"}
        wanted = [each for each in step.criteria if each.name in names]
        found = evaluate(wanted, ORGANIZATION, samples, None)
        assert len(found) == len(names)
        return {each.name: (each.outcome, each.value) for each in found}

    await one.enter(Phase.DUAL_WRITE)
    await one.registry.apply(one.change("good", name="Good"))
    one.insert("bad", "")
    one.insert("Not A Name", "Named")
    one.insert("loop", "Loop")
    one.write("UPDATE organizations SET parent_id = 'loop' WHERE id = 'loop'")
    before = await judged()
    assert before == {
        "parity": (Outcome.PASS, 0),
        "coverage": (Outcome.PASS, 1),
        "errors": (Outcome.FAIL, 3),
    }
    rules[ORGANIZATION] = {
        "name": [Rule("nameless", "Unrecordable")],
        "metadata.name": [Rule("old-ids", "Unrecordable")],
    }
    assert (await judged())["errors"] == (Outcome.FAIL, 1)
    rules[ORGANIZATION] = {**rules[ORGANIZATION], "parent_id": [Rule("loops", "Unrecordable")]}
    assert (await judged())["errors"] == (Outcome.PASS, 0)
    accepted = {each.id: each.rule for each in one.findings.open(ORGANIZATION)}
    assert accepted == {"bad": "nameless", "Not A Name": "old-ids", "loop": "loops"}

    # What was accepted stays accepted, and stays in the table, where the log decides, too.
    for phase in (Phase.PROJECTION_ONLY, Phase.ASYNC_COMMANDS):
        await one.enter(phase)
        assert await judged() == {**before, "errors": (Outcome.PASS, 0)}
    with one.store.engine.connect() as connection:
        kept = LegacyRows(connection).many(ORGANIZATION, sorted(accepted))
    assert {each.id for each in kept.values() if not each.deleted} == accepted.keys()
    rules[ORGANIZATION] = {}
    assert (await judged())["errors"] == (Outcome.FAIL, 3)


async def test_a_write_just_before_the_promotion_still_wins(one: Site) -> None:
    await one.enter(Phase.DUAL_WRITE)
    await one.registry.apply(one.change("shop", name="Shop"))
    await one.verifier.once()
    begun = one.ledger.begin(ORGANIZATION, Phase.PROJECTION_ONLY, CAUSE)
    assert begun.preparation is not None
    one.rename("shop", "At the last moment")
    one.ledger.commit(ORGANIZATION, begun.preparation.epoch)
    one.view.refresh()
    await one.settle()
    assert one.log_side()["shop"]["name"] == "At the last moment"
    assert one.legacy_side() == one.read_side() == one.log_side()


async def test_nobody_is_ready_for_the_log_while_direct_writes_are_unverified(one: Site) -> None:
    await one.enter(Phase.DUAL_WRITE)
    begun = one.ledger.begin(ORGANIZATION, Phase.PROJECTION_ONLY, CAUSE)
    assert begun.preparation is not None
    one.view.refresh()
    standing = one.view.of(ORGANIZATION)
    assert standing is not None
    assert await one.verifier.settled(standing)
    one.insert("shop", "Shop")
    assert not await one.verifier.settled(standing)
    while await one.verifier.once():
        pass
    assert await one.verifier.settled(standing)
    assert "shop" in one.log_side()


@pytest.mark.parametrize("phase", [Phase.DUAL_WRITE, Phase.PROJECTION_ONLY, Phase.ASYNC_COMMANDS])
async def test_a_corrupted_projection_row_is_found_and_rewritten(one: Site, phase: Phase) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    for name in "abcdefgh":
        await one.registry.apply(one.change(name, name=name))
    await one.enter(phase)
    corrupt(one, "e", "corrupted")
    one.write("DELETE FROM read_organizations WHERE id = 'g'")
    assert await one.sweeper.whole(ORGANIZATION) == 2
    await one.settle()
    assert one.legacy_side() == one.read_side() == one.log_side()
    assert one.legacy_side()["e"]["name"] == "e"
    epoch = one.ledger.standings()[ORGANIZATION].epoch
    assert one.findings.of(ORGANIZATION, epoch=epoch).confirmed == 2
    found = one.findings.get(ORGANIZATION, "g")
    assert found is not None
    assert found.fields == (EXISTENCE,)


SWAP = (
    "UPDATE read_organizations SET name = CASE id WHEN 'a' THEN 'B' ELSE 'A' END "
    "WHERE id IN ('a', 'b')"
)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (SWAP, {"a", "b"}),
        ("UPDATE read_organizations SET id = 'other' WHERE id = 'd'", {"d", "other"}),
    ],
    ids=["swapped", "re-keyed"],
)
async def test_changes_within_a_chunk_do_not_cancel_out(
    one: Site, change: str, found: set[str]
) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    for name in "abd":
        await one.registry.apply(one.change(name, name=name.upper()))
    await one.settle()
    one.write(change)
    with snapshot(one.store.engine) as connection:
        chunk = compare_chunk(connection, KIND, "default", None, 1_000)
    assert set(chunk.suspects) == found
    await one.sweeper.whole(ORGANIZATION)
    while await one.verifier.once():
        pass
    figures = one.findings.of(ORGANIZATION, epoch=3)
    assert (figures.confirmed, figures.mismatches, figures.errors) == (len(found), 0, 0)
    assert one.legacy_side() == one.read_side() == one.log_side()


async def test_a_difference_counts_in_a_second_look_at_unchanged_versions_only(one: Site) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    await one.registry.apply(one.change("shop", name="Shop"))
    patient = another_verifier(one, grace=1e-9)
    one.rename("shop", "Direct")
    assert await patient.once() == 1
    one.rename("shop", "Once more")
    assert await patient.once() == 1  # other versions: a first look again
    assert one.findings.get(ORGANIZATION, "shop") is None
    assert await patient.once() == 1
    found = one.findings.get(ORGANIZATION, "shop")
    assert found is not None
    assert found.verdict is Verdict.MISMATCH


async def test_a_table_that_follows_is_no_mismatch(one: Site) -> None:
    await one.enter(Phase.ASYNC_COMMANDS)
    assert isinstance(await one.registry.apply(one.change("shop", name="Shop")), Queued)
    await one.work()
    one.insert("shop", "Direct")
    assert await one.verifier.once() == 1
    assert await one.verifier.once() == 1
    assert one.findings.of(ORGANIZATION, epoch=4).confirmed == 0
    await one.settle()
    assert one.legacy_side() == one.read_side() == one.log_side()


@pytest.mark.parametrize(
    ("when", "excused"),
    [("Always", "Direct"), ("CaseDiffers", "CORNER shop"), ("BlanksDiffer", "Corner  shop")],
)
async def test_a_named_rule_excuses_what_it_is_for(one: Site, when: When, excused: str) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    await one.registry.apply(one.change("shop", name="Corner shop"))
    lenient = another_verifier(one, {ORGANIZATION: {"name": [Rule("names-differ", when)]}})
    one.rename("shop", excused)
    assert await lenient.once() == 0
    (found,) = one.findings.open(ORGANIZATION)
    assert (found.verdict, found.rule) == (Verdict.IGNORED, "names-differ")
    assert one.legacy_side()["shop"]["name"] == excused
    if when != "Always":
        one.rename("shop", "Something else")
        while await lenient.once():
            pass
        assert one.legacy_side()["shop"]["name"] == "Corner shop"


async def test_nothing_is_judged_before_the_rules_are_known(one: Site) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    await one.registry.apply(one.change("shop", name="Corner shop"))
    await one.registry.apply(one.change("mill", name="Mill"))
    await one.settle()
    rules: dict[str, Ignored] = {}
    verifier = another_verifier(one, rules)
    sweeper = Sweeper(one.store.engine, one.view, one.findings, verifier, namespace="default")
    one.rename("shop", "CORNER SHOP")
    verifier.suspect(ORGANIZATION, ["mill"])
    for _ in range(3):
        assert await verifier.once() == 2
    assert not await sweeper.step(ORGANIZATION), "a sweep would count as done"
    assert dirty(one) == 1
    assert verifier.suspects(ORGANIZATION) == {"mill"}
    assert one.legacy_side()["shop"]["name"] == "CORNER SHOP"
    assert one.findings.of(ORGANIZATION, epoch=3).confirmed == 0
    rules[ORGANIZATION] = {"name": [Rule("shouting", "CaseDiffers")]}
    assert await verifier.once() == 0
    assert await sweeper.step(ORGANIZATION)
    (found,) = one.findings.open(ORGANIZATION)
    assert (found.id, found.verdict, found.rule) == ("shop", Verdict.IGNORED, "shouting")
    assert one.legacy_side()["shop"]["name"] == "CORNER SHOP"
    assert dirty(one) == 0


async def test_a_sweep_covers_all_and_remembers_where_it_is(one: Site) -> None:
    for number in range(7):
        one.insert(f"org-{number}", f"Org {number}")
    await one.verifier.once()
    await one.enter(Phase.DUAL_WRITE)
    assert one.findings.of(ORGANIZATION, epoch=2).coverage == 0
    assert await one.sweeper.step(ORGANIZATION)
    sweep = one.findings.sweep(ORGANIZATION)
    assert sweep is not None
    assert (sweep.cursor, sweep.compared, sweep.swept_at) == ("org-2", 3, None)
    assert one.findings.of(ORGANIZATION, epoch=2).coverage == pytest.approx(3 / 7)
    while await one.sweeper.step(ORGANIZATION):
        await one.verifier.once()
    await one.settle()
    assert one.read_side() == one.legacy_side()
    figures = one.findings.of(ORGANIZATION, epoch=2)
    assert (figures.keys, figures.dirty, figures.coverage) == (7, 0, 1.0)
    one.rename("org-3", "Renamed")
    later = Findings(one.store.engine, clock=lambda: utc_now() + 2 * PATIENCE)
    assert later.of(ORGANIZATION, epoch=2).coverage == pytest.approx(6 / 7)
    # Whoever writes all the time does not keep a kind from ever being covered.
    figures = one.findings.of(ORGANIZATION, epoch=2)
    assert (figures.dirty, figures.coverage) == (1, 1.0)
    await one.enter(Phase.PROJECTION_ONLY)
    assert one.findings.of(ORGANIZATION, epoch=3).coverage == 0


async def test_both_sides_are_read_in_one_snapshot(one: Site) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    await one.registry.apply(one.change("shop", name="Shop"))
    with snapshot(one.store.engine) as connection:
        connection.execute(select(func.count()).select_from(legacy_change)).one()
        await one.registry.apply(one.change("shop", name="Newer"))
        compared = compare(connection, KIND, "default", ["shop"], {})["shop"]
    assert compared.same
    assert compared.read is not None
    assert compared.read["name"] == "Shop"
