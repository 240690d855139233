"""The status of a replay, and what is never lost from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.kube.kstatus import kstatus
from tests.kube.platform.looks import BROKER, DOWN, NOW, RELAY, conditions, parked

from eatool.kube.platform.replay_status import ReplayLook, State, essence, replay_status
from eatool.publishing.problems import SpecProblem

RANGE = {"startPosition": 10, "endPosition": 30, "startedAt": "2026-11-23T11:00:00Z"}
REPLAY: dict[str, Any] = {
    **BROKER,
    "kind": "EventReplay",
    "spec": {"broker": "main", "topicPrefix": "again"},
    "status": {**RANGE, "position": 20},
}
LOST = SpecProblem("spec.broker", "BrokerNotFound", "EventBroker main does not exist")
EMPTY = SpecProblem("spec.select.kinds", "NothingSelected", "the broker is sent only Server")


@pytest.mark.parametrize(
    ("look", "ready", "progress", "state"),
    [
        (ReplayLook(State.RUNNING, position=15, relay=RELAY), "Running", "25%", "InProgress"),
        (ReplayLook(State.RUNNING, position=30, relay=RELAY), "Running", "99%", "InProgress"),
        (
            ReplayLook(State.RUNNING, position=15, relay=DOWN, error=DOWN.last_error),
            "ConnectionFailed",
            "25%",
            "InProgress",
        ),
        (
            ReplayLook(State.RUNNING, error="event store: away"),
            "StoreUnavailable",
            "50%",
            "InProgress",
        ),
        (ReplayLook(State.PAUSED, position=15, why="spec.suspended is true"), "Paused", "25%", ""),
        (ReplayLook(State.PENDING, problem=LOST), "BrokerNotFound", "50%", "InProgress"),
        (ReplayLook(State.PENDING, problem=EMPTY), "NothingSelected", "50%", "Failed"),
        (ReplayLook(State.COMPLETED, position=30), "Completed", "100%", "Current"),
        (
            ReplayLook(State.FAILED, position=30, parked=(parked(),)),
            "EventsRefused",
            "100%",
            "Failed",
        ),
    ],
    ids=str,
)
def test_what_each_look_says(look: ReplayLook, ready: str, progress: str, state: str) -> None:
    status = replay_status(REPLAY, look, NOW)
    assert status["state"] == look.state
    assert conditions(status)["Ready"][1] == ready
    assert status["progress"] == progress
    assert {name: status[name] for name in RANGE} == RANGE, "decided once"
    if state:
        assert kstatus({**REPLAY, "status": status}) == state


def test_nothing_of_the_broker_s_words_is_lost_when_it_refuses() -> None:
    status = replay_status(REPLAY, ReplayLook(State.FAILED, position=30, parked=(parked(),)), NOW)
    message = status["conditions"][0]["message"]
    assert "server/shop/db-1: broker answered Not authorized (0x87)" in message
    assert status["parkedStreams"] == 1


def test_progress_is_no_turn_but_a_state_is() -> None:
    look = ReplayLook(State.RUNNING, position=15, relay=RELAY)
    before = replay_status(REPLAY, look, NOW)
    body = {**REPLAY, "status": before}
    moved, paused = replace(look, position=16), replace(look, state=State.PAUSED)
    completed = ReplayLook(State.COMPLETED, position=30)
    assert essence(replay_status(body, moved, NOW)) == essence(before)
    assert essence(replay_status(body, paused, NOW)) != essence(before)
    assert essence(replay_status(body, completed, NOW)) != essence(before)


def test_the_count_stays_when_it_cannot_be_read() -> None:
    running = ReplayLook(State.RUNNING, position=15, sent=4, relay=RELAY)
    before = replay_status(REPLAY, running, NOW)
    assert before["eventsSent"] == 4
    away = ReplayLook(State.RUNNING, error="event store: away")
    after = replay_status({**REPLAY, "status": before}, away, NOW)
    assert after["eventsSent"] == 4
    more = replay_status({**REPLAY, "status": before}, replace(running, sent=5), NOW)
    assert essence(more) == essence(before), "a figure, no turn"


def test_a_range_without_events_is_not_said_to_be_sent() -> None:
    empty = {**REPLAY, "status": {**RANGE, "startPosition": 30}}
    status = replay_status(empty, ReplayLook(State.COMPLETED, position=30), NOW)
    (ready,) = status["conditions"]
    assert ready["message"] == "No event lies in the range: it begins and ends at position 30"
