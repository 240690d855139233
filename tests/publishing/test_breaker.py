from __future__ import annotations

import pytest

from eatool.publishing.breaker import BreakerPolicy, CircuitBreaker, CircuitState


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def states() -> list[CircuitState]:
    return []


@pytest.fixture
def breaker(clock: Clock, states: list[CircuitState]) -> CircuitBreaker:
    """Jitter always draws the highest value, so that delays can be told."""
    return CircuitBreaker(
        BreakerPolicy(cap=8.0),
        clock=clock,
        uniform=lambda _low, high: high,
        on_change=states.append,
    )


def test_five_failures_in_a_row_open_it(breaker: CircuitBreaker) -> None:
    for _ in range(4):
        breaker.failure()
    breaker.success()
    for _ in range(4):
        breaker.failure()
    assert breaker.closed
    breaker.failure()
    assert breaker.state is CircuitState.OPEN


def test_half_of_the_last_twenty_open_it(breaker: CircuitBreaker) -> None:
    for _ in range(9):
        breaker.failure()
        breaker.success()
    assert breaker.closed
    breaker.failure()
    breaker.success()
    breaker.failure()
    assert breaker.state is CircuitState.OPEN


def test_backoff_doubles_up_to_the_cap_and_is_never_skipped(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    waits = []
    for _ in range(6):
        breaker.trip()
        breaker.trip()
        waits.append(breaker.wait)
        clock.now += breaker.wait
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_half_open_closes_after_three_successes(
    breaker: CircuitBreaker, clock: Clock, states: list[CircuitState]
) -> None:
    breaker.trip()
    clock.now += 1.0
    assert breaker.state is CircuitState.HALF_OPEN
    for _ in range(2):
        breaker.success()
    assert breaker.state is CircuitState.HALF_OPEN
    breaker.success()
    assert breaker.closed
    assert states == [CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED]
    breaker.trip()
    assert breaker.wait == 1.0


def test_half_open_failure_opens_with_a_longer_wait(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.trip()
    clock.now += 1.0
    assert breaker.state is CircuitState.HALF_OPEN
    breaker.failure()
    assert breaker.wait == 2.0


def test_half_open_closes_when_a_session_rests_for_three_seconds(
    breaker: CircuitBreaker, clock: Clock, states: list[CircuitState]
) -> None:
    breaker.trip()
    clock.now += 1.0
    breaker.session_up(idle=True)
    clock.now += 2.9
    breaker.session_up(idle=True)
    assert breaker.state is CircuitState.HALF_OPEN
    clock.now += 0.1
    breaker.session_up(idle=True)
    assert states == [CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED]
    breaker.trip()
    assert breaker.wait == 1.0


def test_rest_is_counted_from_the_last_work_and_the_last_fault(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    breaker.trip()
    clock.now += 1.0
    breaker.session_up(idle=True)
    clock.now += 2.0
    breaker.session_up(idle=False)
    clock.now += 2.0
    breaker.session_up(idle=True)
    assert breaker.state is CircuitState.HALF_OPEN, "there was something to send in between"
    clock.now += 2.0
    breaker.trip()
    clock.now += 2.0
    breaker.session_up(idle=True)
    assert breaker.state is CircuitState.HALF_OPEN, "it failed again in between"


def test_an_open_circuit_does_not_rest_before_its_backoff(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    for _ in range(4):
        breaker.trip()
        clock.now += breaker.wait
    breaker.trip()
    assert breaker.wait == 8.0
    breaker.session_up(idle=True)
    clock.now += 5.0
    breaker.session_up(idle=True)
    assert breaker.state is CircuitState.OPEN


def test_jitter_is_full(clock: Clock) -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    breaker = CircuitBreaker(clock=clock, uniform=uniform)
    breaker.trip()
    assert drawn == [(0.0, 1.0)]
    assert breaker.state is CircuitState.HALF_OPEN
