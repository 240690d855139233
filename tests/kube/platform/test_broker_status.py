"""The status of a broker: true, in kstatus terms, and quiet while nothing turns."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.kube.kstatus import kstatus
from tests.kube.platform.looks import BROKER, DOWN, LAG, NOW, RELAY, RUNNING, conditions, parked

from eatool.kube.platform.broker_status import Look, broker_status, essence
from eatool.publishing.breaker import CircuitState
from eatool.publishing.port import Fault
from eatool.publishing.problems import SpecProblem

MISSING = SpecProblem("spec.credentials.basic", "SecretNotFound", "Secret x does not exist")
INVALID = SpecProblem("spec.topicTemplate", "InvalidTopicTemplate", "is odd")
LOGIN = replace(DOWN, last_error="mqtt://b:1883: Not authorized", fault=Fault.LOGIN)


@pytest.mark.parametrize(
    ("look", "ready", "connected", "state"),
    [
        (RUNNING, ("True", "Publishing"), "True", "Current"),
        (replace(RUNNING, relay=None), ("False", "Connecting"), "False", "InProgress"),
        (
            replace(RUNNING, relay=replace(RELAY, connected=False)),
            ("False", "Connecting"),
            "False",
            "InProgress",
        ),
        (replace(RUNNING, relay=DOWN), ("False", "ConnectionFailed"), "False", "InProgress"),
        (replace(RUNNING, relay=LOGIN), ("False", "LoginRefused"), "False", "Failed"),
        (
            replace(RUNNING, relay=replace(RELAY, circuit=CircuitState.OPEN)),
            ("False", "CircuitOpen"),
            "True",
            "InProgress",
        ),
        (
            replace(RUNNING, relay=replace(RELAY, circuit=CircuitState.HALF_OPEN)),
            ("True", "Publishing"),
            "True",
            "Current",
        ),
        (replace(RUNNING, lag=None), ("Unknown", "StoreUnavailable"), "True", "InProgress"),
        (
            Look(problem=MISSING, suspended=False, relay=None, lag=LAG),
            ("False", "SecretNotFound"),
            "False",
            "InProgress",
        ),
        (
            Look(problem=INVALID, suspended=False, relay=None, lag=LAG),
            ("False", "InvalidTopicTemplate"),
            "False",
            "Failed",
        ),
        (
            Look(problem=None, suspended=True, relay=None, lag=LAG),
            ("True", "Suspended"),
            "False",
            "Current",
        ),
    ],
    ids=str,
)
def test_what_each_look_says(
    look: Look, ready: tuple[str, str], connected: str, state: str
) -> None:
    status = broker_status(BROKER, look, NOW)
    found = conditions(status)
    assert found["Ready"] == ready
    assert found["Connected"][0] == connected
    assert found["Suspended"][0] == str(look.suspended)
    assert kstatus({**BROKER, "status": status}) == state


def test_a_problem_names_its_field() -> None:
    status = broker_status(BROKER, Look(MISSING, suspended=False, relay=None, lag=LAG), NOW)
    assert status["conditions"][0]["message"] == ("spec.credentials.basic: Secret x does not exist")


def test_a_refused_connection_names_the_field_to_look_at() -> None:
    status = broker_status(BROKER, replace(RUNNING, relay=DOWN), NOW)
    assert status["conditions"][0]["message"].startswith("spec.addresses: mqtt://b:1883")
    assert status["lastError"] == DOWN.last_error
    assert status["circuit"] == "open"
    assert "address" not in status


def test_parked_entities_do_not_make_a_broker_unready() -> None:
    status = broker_status(BROKER, replace(RUNNING, lag=replace(LAG, parked=(parked(),))), NOW)
    assert conditions(status)["Ready"] == ("True", "Publishing")
    assert status["conditions"][0]["message"].endswith("; 1 entity is parked")
    assert status["parkedStreams"] == 1


def test_an_outage_of_the_store_leaves_the_figures() -> None:
    before = broker_status(BROKER, RUNNING, NOW)
    after = broker_status({**BROKER, "status": before}, replace(RUNNING, lag=None), NOW)
    assert {**before, "conditions": 0} == {**after, "conditions": 0}


def test_the_age_of_a_backlog_alone_is_rarely_worth_a_write() -> None:
    lag = replace(LAG, events=1, oldest=NOW)
    down = replace(RUNNING, relay=DOWN, lag=lag)
    body, writes = BROKER, 0
    for second in range(1, 3600, 2):
        status = broker_status(body, down, NOW + timedelta(seconds=second))
        writes += status != body.get("status")
        body = {**BROKER, "status": status}
    assert writes < 70, "an hour of outage, looked at every two seconds"
    assert body["status"]["lagSeconds"] > 3200
    assert body["status"]["oldestUnpublishedAt"] == "2026-11-23T12:00:00Z"


@pytest.mark.parametrize(
    ("look", "turn"),
    [
        (replace(RUNNING, lag=replace(LAG, position=41, head=42, events=1, oldest=NOW)), False),
        (replace(RUNNING, relay=replace(RELAY, last_error="odd")), False),
        (replace(RUNNING, relay=DOWN), True),
        (replace(RUNNING, lag=replace(LAG, parked=(parked(),))), True),
        (Look(problem=None, suspended=True, relay=None, lag=LAG), True),
    ],
    ids=str,
)
def test_only_turns_are_urgent(look: Look, *, turn: bool) -> None:
    before = broker_status(BROKER, RUNNING, NOW)
    after = broker_status({**BROKER, "status": before}, look, NOW)
    assert after != before
    assert (essence(before) != essence(after)) is turn


def test_the_circuit_probing_again_and_again_is_no_turn() -> None:
    before = broker_status(BROKER, replace(RUNNING, relay=DOWN), NOW)
    probing = replace(DOWN, circuit=CircuitState.HALF_OPEN)
    after = broker_status({**BROKER, "status": before}, replace(RUNNING, relay=probing), NOW)
    assert after["circuit"] == "half_open"
    assert essence(before) == essence(after)
