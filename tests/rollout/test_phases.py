from __future__ import annotations

import pytest

from eatool.rollout.phases import Phase


def test_numbers_are_in_order() -> None:
    assert [phase.number for phase in Phase] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("phase", Phase)
def test_steps_go_one_by_one(phase: Phase) -> None:
    allowed = {to for to in Phase if phase.refusal(to) is None}
    assert allowed == {phase.next, phase.previous} - {None}


def test_retired_is_final() -> None:
    assert Phase.RETIRED.next is Phase.RETIRED.previous is None
    assert "final" in (Phase.RETIRED.refusal(Phase.ASYNC_COMMANDS) or "")


def test_a_refusal_names_the_phase_between() -> None:
    assert Phase.LEGACY.refusal(Phase.ASYNC_COMMANDS) == (
        "one step at a time: between Legacy and AsyncCommands comes DualWrite"
    )
    assert Phase.ASYNC_COMMANDS.refusal(Phase.LEGACY) == (
        "one step at a time: between AsyncCommands and Legacy comes ProjectionOnly"
    )


def test_who_decides() -> None:
    assert [phase.log_decides for phase in Phase] == [False, False, True, True, True]
