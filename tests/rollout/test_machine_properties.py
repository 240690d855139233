"""What holds of every rollout, whatever happens to it."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.rollout.rounds import PARITY, World, spec, step

from eatool.rollout import effective
from eatool.rollout.actions import Abort, Action, Commit, Prepare
from eatool.rollout.criteria import Outcome
from eatool.rollout.ledger import TransitionResult, Trigger
from eatool.rollout.machine import Decision
from eatool.rollout.phases import Phase

LAG = {"name": "lag", "metric": "ProjectionLagSeconds", "op": "<", "threshold": "5"}
SOAK = timedelta(minutes=10)
PROMOTIONS = [phase for phase in Phase if phase is not Phase.LEGACY]


class Rollouts(RuleBasedStateMachine):
    """Targets, figures, replicas, people, pauses and crashes in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(spec())
        self.epochs = [1]
        self.retired = False
        #: Since when this observer has seen nothing but passes for the phase that is left.
        self.passing_since: datetime | None = None

    @initialize(
        start=st.sampled_from([Phase.LEGACY, *effective.DEMOTABLE]),
        auto=st.sampled_from([True, True, False]),
        demotions=st.integers(1, 3),
    )
    def declare(self, start: Phase, auto: bool, demotions: int) -> None:
        self.world.phase = start
        transitions = [
            step(
                to.value, PARITY, LAG, soakTime="10m", autoPromote=auto and to is not Phase.RETIRED
            )
            for to in PROMOTIONS
        ]
        rollback = {"cooldown": "20m", "maxDemotions": demotions}
        self.world.spec = spec(transitions=transitions, rollback=rollback)

    @rule(ceiling=st.sampled_from([*Phase, *PROMOTIONS[2:]]))
    def aim(self, ceiling: Phase) -> None:
        self.world.declare(target_phase=ceiling)

    @rule(paused=st.sampled_from([True, False, False]))
    def pause(self, paused: bool) -> None:
        self.world.declare(paused=paused)

    @rule(name=st.sampled_from(["parity", "lag"]), outcome=st.sampled_from(Outcome))
    def measure(self, name: str, outcome: Outcome) -> None:
        self.world.outcomes[name] = outcome

    @rule(
        name=st.sampled_from(["parity", "lag"]),
        outcome=st.sampled_from([Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR]),
        seconds=st.sampled_from([1, 60, 240]),
    )
    def disturb(self, name: str, outcome: Outcome, seconds: int) -> None:
        """One bad look in the middle of good ones."""
        self.go_on(60, 3)
        self.world.outcomes[name] = outcome
        self.go_on(seconds, 1)
        del self.world.outcomes[name]
        self.go_on(60, 2)

    @precondition(lambda self: self.world.preparation is not None)
    @rule(outcome=st.sampled_from([Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR]))
    def disturb_what_is_under_way(self, outcome: Outcome) -> None:
        """When nothing but the figure is in the way."""
        self.world.replicas["pod-2"] = "answers"
        self.world.undrained = None
        self.world.outcomes["lag"] = outcome
        self.go_on(1, 1)

    @rule(outcome=st.sampled_from(Outcome))
    def watch(self, outcome: Outcome) -> None:
        self.world.watched["parity"] = outcome

    @rule()
    def recover(self) -> None:
        self.world.outcomes.clear()
        self.world.watched.clear()

    @rule(how=st.sampled_from(["answers", "silent", "dead"]))
    def answer(self, how: str) -> None:
        self.world.replicas["pod-2"] = how

    @rule(gate=st.sampled_from(["promote", "held"]))
    def approve(self, gate: str) -> None:
        if self.world.status is not None and self.world.status.transition is not None:
            self.world.approve(gate)

    @rule(left=st.sampled_from([None, "5 commands are queued"]))
    def queue(self, left: str | None) -> None:
        self.world.undrained = left

    @rule()
    def lose_the_status(self) -> None:
        self.world.status = None

    @rule(seconds=st.sampled_from([0, 1, 31, 60, 240, 7200]))
    def look_without_acting(self, seconds: int) -> None:
        """As an operator does that dies before it acts."""
        self.check(self.world.look(seconds=seconds))

    @rule(seconds=st.sampled_from([0, 1, 31, 60, 240, 7200]), times=st.integers(1, 15))
    def go_on(self, seconds: int, times: int) -> None:
        for _ in range(times):
            decision = self.world.look(seconds=seconds)
            self.check(decision)
            self.act(decision.action)

    def act(self, action: Action | None) -> None:
        before = self.world.phase
        self.world.carry_out(action)  # asserts that there is one step at a time
        if self.world.phase is not before:
            assert abs(self.world.phase.number - before.number) == 1
            assert self.world.epoch > self.epochs[-1]
            self.epochs.append(self.world.epoch)
            self.passing_since = None

    def check(self, decision: Decision) -> None:
        world, action = self.world, decision.action
        found = effective.step(world.spec, world.phase)
        names = [each.name for each in found.criteria] if found else []
        outcomes = [world.outcomes.get(name, Outcome.PASS) for name in names]
        all_pass = all(outcome is Outcome.PASS for outcome in outcomes)
        # A dead operator counts no time either; this observer is more lenient than the machine.
        if Outcome.FAIL in outcomes:
            self.passing_since = None
            transition = decision.status.transition
            assert transition is None or transition.soak_started_at is None
        elif all_pass and self.passing_since is None:
            self.passing_since = world.now
        up = (isinstance(action, Prepare) and action.to.number > world.phase.number) or (
            isinstance(action, Commit)
            and world.preparation is not None
            and world.preparation.to.number > world.phase.number
        )
        if up:
            assert all_pass, "promoted on missing or failing data"
            assert not world.spec.paused
            assert world.phase.number < world.spec.target_phase.number
        if up and isinstance(action, Prepare):
            assert self.passing_since is not None
            assert world.now - self.passing_since >= SOAK
        if isinstance(action, Prepare) and action.cause.trigger is Trigger.FAILURE:
            assert world.phase in effective.DEMOTABLE
        if world.phase is Phase.RETIRED:
            assert action is None
        if isinstance(action, Commit | Abort):
            assert world.preparation is not None
            assert action.epoch == world.preparation.epoch
        conditions = {each.type: each.status for each in decision.conditions}
        assert conditions["Ready"] in {"True", "False"}
        assert not {"Reconciling", "Stalled"} <= conditions.keys()
        assert conditions["Ready"] == "False" or "Stalled" not in conditions

    @invariant()
    def retired_is_terminal(self) -> None:
        self.retired = self.retired or self.world.phase is Phase.RETIRED
        assert not self.retired or self.world.phase is Phase.RETIRED

    @invariant()
    def history_tells_every_phase(self) -> None:
        done = [each for each in self.world.history if each.result is not TransitionResult.ABORTED]
        assert [each.epoch for each in reversed(done)] == self.epochs[1:]

    def teardown(self) -> None:
        """Whatever has happened, the way back is open until Retired."""
        world = self.world
        if world.phase is Phase.RETIRED:
            return
        world.declare(target_phase=Phase.LEGACY, paused=False)
        world.undrained = None
        for name in world.replicas:
            world.replicas[name] = "silent"
        world.outcomes = {"parity": Outcome.ERROR, "lag": Outcome.INCONCLUSIVE}
        for _ in range(20):
            self.act(world.look(seconds=31).action)
        assert world.phase is Phase.LEGACY


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
