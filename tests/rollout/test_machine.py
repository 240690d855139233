"""Decisions, told as stories."""

from __future__ import annotations

from typing import Any

import pytest
from tests.rollout.rounds import PARITY, START, World, spec, step

from eatool.rollout.actions import Abort, Commit, DropLegacyTable, Prepare
from eatool.rollout.criteria import Outcome
from eatool.rollout.ledger import TransitionResult, Trigger
from eatool.rollout.machine import Decision
from eatool.rollout.phases import Phase

RETIRED_TABLE = "applications_retired_20260302"


def soaking(hours: int = 1, **more: Any) -> World:
    """In DualWrite, on the way to ProjectionOnly after a soak."""
    transition = step("ProjectionOnly", PARITY, soakTime=f"{hours}h", **more)
    return World(spec("ProjectionOnly", transitions=[transition]), phase=Phase.DUAL_WRITE)


def condition(decision: Decision, type_: str) -> tuple[str, str] | None:
    found = [each for each in decision.conditions if each.type == type_]
    return (found[0].status, found[0].reason) if found else None


def test_a_step_is_announced_then_committed() -> None:
    world = World(spec("DualWrite", transitions=[step("DualWrite")]))
    first = world.round()
    assert isinstance(first.action, Prepare)
    assert (first.status.state, first.action.to) == ("Preparing", Phase.DUAL_WRITE)
    second = world.round(seconds=1)
    assert isinstance(second.action, Commit)
    assert second.status.transition is not None
    assert second.status.transition.replicas_acked == 1
    done = world.round(seconds=1)
    assert (done.status.phase, done.status.state, done.action) == ("DualWrite", "Complete", None)
    assert condition(done, "Ready") == ("True", "Complete")
    assert world.trigger is Trigger.AUTO


def test_the_target_is_a_ceiling_reached_step_by_step() -> None:
    steps = [step("DualWrite"), step("ProjectionOnly"), step("AsyncCommands")]
    world = World(spec("ProjectionOnly", transitions=steps))
    world.rounds(20, seconds=10)
    assert world.phase is Phase.PROJECTION_ONLY
    assert [record.target.value for record in world.history] == ["ProjectionOnly", "DualWrite"]


def test_criteria_must_pass_unbroken_for_the_soak() -> None:
    world = soaking(hours=1)
    world.round()
    assert world.status is not None
    assert world.status.state == "Soaking"
    assert world.status.transition is not None
    assert world.status.transition.soak_until is not None
    assert world.rounds(59, minutes=1).action is None
    world.outcomes["parity"] = Outcome.FAIL
    failed = world.round(seconds=30)
    assert (failed.status.state, failed.status.criteria_summary) == ("Blocked", "0/1")
    assert "parity (Fail)" in failed.status.message
    assert condition(failed, "Reconciling") == ("True", "Blocked")
    del world.outcomes["parity"]
    world.round(seconds=30)
    assert world.rounds(59, minutes=1).action is None
    assert isinstance(world.round(minutes=1).action, Prepare)


@pytest.mark.parametrize("outcome", [Outcome.INCONCLUSIVE, Outcome.ERROR])
def test_missing_data_stops_the_clock_of_the_soak(outcome: Outcome) -> None:
    world = soaking(hours=1)
    world.round()
    world.rounds(30, minutes=1)
    world.outcomes["parity"] = outcome
    held = world.rounds(600, minutes=1)
    assert (held.status.state, held.action) == ("Blocked", None)
    del world.outcomes["parity"]
    world.round(minutes=1)
    assert world.rounds(29, minutes=1).action is None
    assert isinstance(world.round(minutes=1).action, Prepare)


def test_time_that_nobody_watched_does_not_count() -> None:
    world = soaking(hours=1)
    world.round()
    assert world.round(hours=50).action is None
    world.rounds(50, minutes=1)
    assert isinstance(world.rounds(5, minutes=1).action, Prepare)


def test_another_demand_begins_the_soak_anew() -> None:
    world = soaking(hours=1)
    world.round()
    world.rounds(59, minutes=1)
    strict = {**PARITY, "op": "<=", "threshold": "3"}
    world.spec = spec("ProjectionOnly", transitions=[step("ProjectionOnly", strict, soakTime="1h")])
    assert world.rounds(59, minutes=1).status.state == "Soaking"


def test_without_a_status_the_soak_begins_anew() -> None:
    world = soaking(hours=1)
    world.round()
    world.rounds(59, minutes=1)
    world.status = None
    assert world.rounds(5, minutes=1).status.state == "Soaking"


def test_a_dry_run_decides_nothing() -> None:
    world = World(
        spec("ProjectionOnly", transitions=[step("ProjectionOnly", {**PARITY, "dryRun": True})]),
        phase=Phase.DUAL_WRITE,
        outcomes={"parity": Outcome.FAIL},
    )
    decision = world.round()
    assert isinstance(decision.action, Prepare)
    assert decision.status.criteria[0].result is Outcome.FAIL


def test_defaults_are_strict_and_wait_for_a_person() -> None:
    world = World(spec("ProjectionOnly"), phase=Phase.DUAL_WRITE)
    waiting = world.rounds(24 * 60 + 2, minutes=1)
    names = {each.name for each in waiting.status.criteria}
    assert names == {"parity", "errors", "coverage", "parked"}
    assert waiting.status.state == "AwaitingApproval"
    assert condition(waiting, "Ready") == ("True", "AwaitingApproval")
    assert condition(waiting, "Approved") == ("False", "Waiting")
    world.approve("promote", actor="jane@example.org", reason="go", ticket="CHG-7")
    action = world.round(minutes=1).action
    assert isinstance(action, Prepare)
    cause = action.cause
    assert (cause.trigger, cause.actor, cause.ticket) == (
        Trigger.APPROVAL,
        "jane@example.org",
        "CHG-7",
    )
    assert {each["name"] for each in cause.evidence} == names
    assert cause.gates[0]["state"] == "Approved"


def test_an_approval_of_another_transition_means_nothing() -> None:
    transition = step("ProjectionOnly", autoPromote=False)
    world = World(spec("ProjectionOnly", transitions=[transition]), phase=Phase.DUAL_WRITE)
    world.round()
    world.approve("promote")
    world.epoch, world.announced = 2, 2  # the phase was left and entered again
    assert world.round().status.state == "AwaitingApproval"


def test_a_window() -> None:
    gate = {
        "name": "office",
        "type": "Window",
        "days": ["Tue"],
        "opens": "09:00",
        "closes": "17:00",
        "timeZone": "Europe/Berlin",
    }
    world = World(
        spec("ProjectionOnly", transitions=[step("ProjectionOnly", gates=[gate])]),
        phase=Phase.DUAL_WRITE,
    )
    closed = world.round()
    assert closed.status.state == "AwaitingWindow"
    assert closed.status.message == "opens at 2026-03-03T09:00+01:00"
    world.round(hours=19)
    assert world.look(minutes=59).action is None
    assert isinstance(world.look(minutes=1).action, Prepare)
    world.now = START.replace(day=3, hour=16)
    assert world.look().action is None


def test_a_window_over_midnight_and_one_that_makes_no_sense() -> None:
    night = {"name": "night", "type": "Window", "opens": "22:00", "closes": "06:00"}
    world = World(
        spec("ProjectionOnly", transitions=[step("ProjectionOnly", gates=[night])]),
        phase=Phase.DUAL_WRITE,
    )
    assert world.look().action is None
    for hour, is_open in ((21, False), (22, True), (23, True), (0, True), (5, True), (6, False)):
        world.now = START.replace(hour=hour)
        assert (world.look().action is not None) is is_open, hour
    nowhere = {**night, "timeZone": "Europe/Nowhere"}
    world.spec = spec("ProjectionOnly", transitions=[step("ProjectionOnly", gates=[nowhere])])
    assert "Europe/Nowhere is not known" in world.look().status.message


def test_a_dependency() -> None:
    gate = {
        "name": "relations",
        "type": "DependsOn",
        "entityKind": "Relation",
        "minPhase": "ProjectionOnly",
    }
    world = World(
        spec("ProjectionOnly", transitions=[step("ProjectionOnly", gates=[gate])]),
        phase=Phase.DUAL_WRITE,
    )
    assert world.look().status.message == "Relation is not under rollout"
    world.other("relation", Phase.DUAL_WRITE)
    waiting = world.look()
    assert waiting.status.state == "AwaitingDependency"
    assert waiting.status.message == "Relation is in DualWrite, waits for ProjectionOnly"
    world.other("relation", Phase.ASYNC_COMMANDS)
    assert isinstance(world.look().action, Prepare)


def test_live_replicas_are_waited_for_and_dead_ones_are_not() -> None:
    world = World(
        spec("DualWrite", transitions=[step("DualWrite")]),
        replicas={"a": "answers", "b": "silent", "c": "dead"},
    )
    world.round()
    waiting = world.round(seconds=5)
    assert (waiting.action, waiting.status.message) == (None, "waiting for b")
    assert waiting.status.transition is not None
    assert waiting.status.transition.replicas_expected == 2
    world.replicas["b"] = "dead"
    assert isinstance(world.round(seconds=6).action, Commit)


def test_a_replica_that_does_not_answer_aborts_a_promotion_which_is_tried_again() -> None:
    world = World(spec("DualWrite", transitions=[step("DualWrite")]), replicas={"a": "silent"})
    world.round()
    world.round(seconds=29)
    aborted = world.round(seconds=1)
    assert isinstance(aborted.action, Abort)
    assert aborted.action.reason == "gave up after 30 s: waiting for a"
    assert world.round(seconds=59).status.state == "Blocked"
    world.replicas["a"] = "answers"
    assert isinstance(world.round(seconds=1).action, Prepare)
    assert isinstance(world.round(seconds=1).action, Commit)
    assert world.epoch == 3


def test_a_commit_says_whether_it_is_late() -> None:
    """A ledger may refuse it round after round, and changes of the kind wait meanwhile."""
    world = World(spec("DualWrite", transitions=[step("DualWrite")]))
    world.round()
    assert world.look(seconds=29).action == Commit(world.announced, late=False)
    assert world.look(seconds=1).action == Commit(world.announced, late=True)


@pytest.mark.parametrize(
    "change",
    [{"paused": True}, {"target_phase": Phase.DUAL_WRITE}],
)
def test_a_promotion_whose_grounds_have_gone_is_aborted(change: dict[str, Any]) -> None:
    world = World(
        spec("ProjectionOnly", transitions=[step("ProjectionOnly", PARITY)]),
        phase=Phase.DUAL_WRITE,
    )
    world.round()
    world.declare(**change)
    assert isinstance(world.round(seconds=1).action, Abort)
    assert world.phase is Phase.DUAL_WRITE


def announced() -> World:
    """In DualWrite, with ProjectionOnly announced."""
    world = World(
        spec("ProjectionOnly", transitions=[step("ProjectionOnly", PARITY)]),
        phase=Phase.DUAL_WRITE,
    )
    world.round()
    return world


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.ERROR])
def test_a_criterion_that_stops_passing_aborts_a_promotion(outcome: Outcome) -> None:
    world = announced()
    world.outcomes["parity"] = outcome
    assert isinstance(world.round(seconds=1).action, Abort)


def test_figures_that_are_not_there_yet_hold_a_promotion_up() -> None:
    world = announced()
    world.outcomes["parity"] = Outcome.INCONCLUSIVE
    held = world.round(seconds=20)
    assert (held.action, held.status.state) == (None, "Preparing")
    assert held.status.message == "waiting for criteria: parity (Inconclusive)"
    del world.outcomes["parity"]
    assert isinstance(world.round(seconds=1).action, Commit)


def test_figures_that_do_not_come_abort_a_promotion() -> None:
    world = announced()
    world.outcomes["parity"] = Outcome.INCONCLUSIVE
    assert world.round(seconds=29).action is None
    aborted = world.round(seconds=1)
    assert isinstance(aborted.action, Abort)
    assert aborted.action.reason.startswith("gave up after 30 s: waiting for criteria: parity")


def test_what_was_accepted_is_finished_first() -> None:
    world = World(spec("DualWrite", transitions=[step("DualWrite")]), undrained="3 changes end")
    world.round()
    assert world.round(seconds=1).status.message == "3 changes end"
    world.undrained = None
    assert isinstance(world.round(seconds=1).action, Commit)


def in_async(**more: Any) -> World:
    steps = [step(to) for to in ("ProjectionOnly", "AsyncCommands")]
    return World(spec("AsyncCommands", transitions=steps, **more), phase=Phase.ASYNC_COMMANDS)


def test_a_failing_rollback_criterion_goes_back_cools_down_and_is_held_in_the_end() -> None:
    world = in_async(rollback={"cooldown": "1h", "maxDemotions": 2})
    assert world.round().status.state == "Complete"
    world.watched["parity"] = Outcome.FAIL
    action = world.round(seconds=10).action
    assert isinstance(action, Prepare)
    assert (action.to, action.cause.trigger) == (Phase.PROJECTION_ONLY, Trigger.FAILURE)
    assert action.cause.evidence[0]["result"] == "Fail"
    world.round(seconds=1)
    cooling = world.round(seconds=10)
    assert (cooling.status.phase, cooling.status.state) == ("ProjectionOnly", "CoolingDown")
    assert condition(cooling, "Ready") == ("False", "CoolingDown")
    assert world.rounds(30, minutes=1).action is None  # though parity still fails
    world.watched.clear()
    world.rounds(40, minutes=1)
    assert world.phase is Phase.ASYNC_COMMANDS

    world.watched["parity"] = Outcome.FAIL
    world.rounds(2, seconds=10)
    world.watched.clear()
    held = world.rounds(120, minutes=1)
    assert (held.status.phase, held.status.state) == ("ProjectionOnly", "Held")
    assert condition(held, "Stalled") == ("True", "Held")
    assert held.status.rollback.demotions == 2
    world.approve("held", reason="cause was found")
    world.rounds(2, seconds=10)
    assert world.phase is Phase.ASYNC_COMMANDS
    assert world.round().status.rollback.demotions == 0


def test_failures_up_to_the_limit_are_borne() -> None:
    criteria = [{**PARITY, "failureLimit": 2}]
    world = in_async(rollback={"criteria": criteria})
    world.watched["parity"] = Outcome.FAIL
    world.rounds(2, seconds=10)
    world.watched.clear()
    world.round(seconds=10)
    world.watched["parity"] = Outcome.FAIL
    assert world.rounds(2, seconds=10).action is None
    assert isinstance(world.round(seconds=10).action, Prepare)


@pytest.mark.parametrize(
    ("phase", "more"),
    [
        (Phase.ASYNC_COMMANDS, {"rollback": {"auto": False}}),
        (Phase.ASYNC_COMMANDS, {"paused": True}),
        (Phase.RETIRED, {}),
        (Phase.DUAL_WRITE, {}),
    ],
)
def test_where_nothing_goes_back_by_itself(phase: Phase, more: dict[str, Any]) -> None:
    world = World(spec(phase.value, **more), phase=phase, watched={"parity": Outcome.FAIL})
    assert world.rounds(10, minutes=1).action is None


def test_missing_data_rolls_nothing_back() -> None:
    world = in_async()
    world.watched["parity"] = Outcome.INCONCLUSIVE
    assert world.rounds(10, minutes=1).action is None


def test_a_silent_replica_cannot_keep_a_kind_from_going_back() -> None:
    world = in_async()
    world.replicas = {"a": "silent"}
    world.watched["parity"] = Outcome.FAIL
    world.round()
    assert world.round(seconds=29).action is None
    assert isinstance(world.round(seconds=1).action, Commit)


def test_going_back_waits_for_what_was_accepted_or_does_not_happen() -> None:
    world = in_async()
    world.undrained = "3 recorded events are not in the legacy table yet"
    world.declare(target_phase=Phase.PROJECTION_ONLY)
    assert isinstance(world.round().action, Prepare)
    assert world.round(seconds=29).action is None
    given_up = world.round(seconds=1)
    assert isinstance(given_up.action, Abort)
    assert "3 recorded events are not" in given_up.status.message
    between = world.round(seconds=59)
    assert (between.status.state, between.action) == ("RollbackBlocked", None)
    assert isinstance(world.round(seconds=1).action, Prepare)
    world.undrained = None
    assert isinstance(world.round(seconds=1).action, Commit)


def test_a_way_back_that_would_lose_something_is_not_even_announced() -> None:
    world = in_async(rollback={"auto": True})
    world.unsafe = "the table refuses a row"
    safe = condition(world.round(), "RollbackSafe")
    assert safe == ("False", "NotYet")
    world.watched["parity"] = Outcome.FAIL
    blocked = world.rounds(10, minutes=5)
    assert (blocked.status.state, blocked.action) == ("RollbackBlocked", None)
    assert "the table refuses a row" in blocked.status.message
    assert condition(blocked, "Stalled") == ("True", "RollbackBlocked")
    assert blocked.status.transition is not None
    assert blocked.status.transition.to is Phase.PROJECTION_ONLY
    world.approve("held")
    assert world.round(seconds=1).action is None
    world.approve("lossy", ticket="CHG-9")
    world.undrained = world.unsafe
    action = world.round(seconds=1).action
    assert isinstance(action, Prepare)
    assert action.cause.ticket == "CHG-9"
    assert isinstance(world.round(seconds=1).action, Commit)


def test_what_was_not_compared_is_not_called_safe() -> None:
    world = in_async()
    world.compared = False
    assert condition(world.round(), "RollbackSafe") == ("False", "NotYet")
    world.compared = True
    assert condition(world.round(), "RollbackSafe") == ("True", "Possible")


def test_a_lowered_target_goes_back_step_by_step() -> None:
    world = in_async()
    world.declare(target_phase=Phase.LEGACY)
    world.rounds(10, seconds=1)
    assert [record.target.value for record in world.history] == [
        "Legacy",
        "DualWrite",
        "ProjectionOnly",
    ]
    assert {record.result for record in world.history} == {TransitionResult.ROLLED_BACK}
    assert world.trigger is Trigger.SPEC


def test_history_tells_who_lowered_the_target_and_on_what_figures() -> None:
    world = in_async()
    world.author = "jane@example.org"
    world.watched["parity"] = Outcome.INCONCLUSIVE
    world.declare(target_phase=Phase.PROJECTION_ONLY)
    newest = world.rounds(3, seconds=1).status.history[0]
    assert (newest.trigger, newest.actor) == (Trigger.SPEC, "jane@example.org")
    assert newest.reason == "spec.targetPhase was lowered to ProjectionOnly"
    (found,) = newest.evidence
    assert (found.name, found.result, found.value) == ("parity", Outcome.INCONCLUSIVE, "0")


def test_a_target_raised_again_stops_the_way_back() -> None:
    world = in_async()
    world.declare(target_phase=Phase.PROJECTION_ONLY)
    world.round()
    world.declare(target_phase=Phase.ASYNC_COMMANDS)
    assert isinstance(world.round(seconds=1).action, Abort)
    assert world.round(seconds=1).status.state == "Complete"


def test_a_promotion_that_is_kept_back_for_too_long_is_stalled_and_stays() -> None:
    world = soaking()
    world.declare(progress_deadline="2h")
    world.outcomes["parity"] = Outcome.FAIL
    assert condition(world.rounds(119, minutes=1), "Stalled") is None
    stalled = world.rounds(3, minutes=1)
    assert condition(stalled, "Stalled") == ("True", "ProgressDeadlineExceeded")
    assert condition(stalled, "Reconciling") is None
    assert stalled.action is None


def test_waiting_for_people_is_no_stall() -> None:
    world = soaking(hours=1, autoPromote=False)
    world.declare(progress_deadline="2h")
    waiting = world.rounds(600, minutes=1)
    assert waiting.status.state == "AwaitingApproval"
    assert condition(waiting, "Stalled") is None


def test_retiring_takes_an_approval_and_dropping_another() -> None:
    transition = {"to": "Retired", "criteria": [PARITY], "soakTime": "0s", "autoPromote": True}
    world = World(
        spec("Retired", transitions=[transition]),
        phase=Phase.ASYNC_COMMANDS,
        retired_table=RETIRED_TABLE,
    )
    assert world.rounds(3, minutes=1).status.state == "AwaitingApproval"
    world.approve("promote")
    world.rounds(2, minutes=1)
    assert world.phase is Phase.RETIRED
    kept = world.round(days=30)
    assert (kept.status.state, kept.action) == ("Complete", None)
    assert kept.status.retired_table == RETIRED_TABLE
    assert f"kept as {RETIRED_TABLE} until spec.retire.approveDrop" in kept.status.message
    assert condition(kept, "RollbackSafe") == ("False", "NoWayBack")
    assert condition(kept, "DropApproved") == ("False", "Waiting")
    world.spec = spec("Retired", retire={"approveDrop": RETIRED_TABLE, "keepDays": 60})
    approved = world.round(days=1)
    assert "is kept until 2026-05-01" in approved.status.message
    assert condition(approved, "DropApproved") == ("True", "Approved")
    world.author = "jane@example.org"
    assert world.round(days=30).action == DropLegacyTable(RETIRED_TABLE, "jane@example.org")
    gone = world.round()
    assert "is gone" in gone.status.message
    assert gone.status.retired_table is None
    assert condition(gone, "DropApproved") is None
    assert condition(gone, "Ready") == ("True", "Complete")


def test_a_word_for_another_table_drops_nothing() -> None:
    early = World(spec("DualWrite", retire={"approveDrop": "applications"}), phase=Phase.DUAL_WRITE)
    assert condition(early.round(), "DropApproved") == ("False", "NothingRetired")
    early.phase, early.retired_table = Phase.RETIRED, RETIRED_TABLE
    early.declare(target_phase=Phase.RETIRED)
    refused = early.rounds(3, days=100)
    assert refused.action is None
    assert condition(refused, "DropApproved") == ("False", "NamesAnotherTable")
    assert condition(refused, "Stalled") == ("True", "NamesAnotherTable")
    assert RETIRED_TABLE in refused.status.message


def test_there_is_no_way_back_from_retired() -> None:
    world = World(spec("DualWrite"), phase=Phase.RETIRED)
    decision = world.round()
    assert decision.action is None
    assert condition(decision, "Stalled") == ("True", "NoWayBack")


def test_a_status_is_written_when_it_tells_something() -> None:
    world = soaking()
    first = world.round().status
    assert first.worth_writing(None)
    second = world.round(seconds=30).status
    assert not second.worth_writing(first)
    assert world.round(minutes=2).status.worth_writing(first)
    world.outcomes["parity"] = Outcome.FAIL
    assert world.round(seconds=1).status.worth_writing(second)
