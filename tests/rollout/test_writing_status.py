"""What an object says of itself while its kind is being rolled out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from eatool.kube.status import deletion_status_of, status_of
from eatool.registry.outcome import PhasedOutcome, Queued, WrittenToLegacy

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ID = UUID("11111111-2222-3333-4444-555555555555")
RECORDED = {"streamVersion": 4, "position": 17, "lastEventId": "an-id", "acceptedGeneration": 2}


def body(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "shop", "generation": 3}, "spec": {}, "status": status}


def told(outcome: PhasedOutcome) -> tuple[dict[str, Any], dict[str, tuple[str, str, str]]]:
    status = status_of(body(**RECORDED), outcome, NOW)
    conditions = {
        each["type"]: (each["status"], each["reason"], each["message"])
        for each in status["conditions"]
    }
    return status, conditions


def test_a_written_row_is_ready_and_says_that_events_are_missing() -> None:
    status, conditions = told(WrittenToLegacy(8, "ReadModels: KeyError"))
    assert status["legacyVersion"] == 8
    assert status["observedGeneration"] == 3
    assert {name: status[name] for name in RECORDED} == RECORDED
    message = "Row version 8 of the legacy table; its events follow: ReadModels: KeyError"
    assert conditions == {"Ready": ("True", "WrittenToLegacy", message)}


def test_a_queued_change_reconciles_under_its_command() -> None:
    status, conditions = told(Queued(ID))
    assert status["commandId"] == str(ID)
    assert {name: status[name] for name in RECORDED} == RECORDED
    message = f"Command {ID} waits to be decided"
    assert conditions == {
        "Ready": ("False", "CommandQueued", message),
        "Reconciling": ("True", "CommandQueued", message),
    }


def test_a_queued_deletion_leaves_the_rest_of_the_status_alone() -> None:
    status = deletion_status_of(body(**RECORDED), Queued(ID, "it is dead"), NOW)
    assert {name: status[name] for name in RECORDED} == RECORDED
    assert status["commandId"] == str(ID)
    assert status["conditions"][0]["message"].endswith("it is dead")
