"""Every outcome of the registry as status: conditions, observed generation, the patch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kube.kstatus import kstatus, kubectl_wait_ready
from tests.kube.objects_for_tests import SERVER, server

from eatool.domain.decision import EntityState
from eatool.domain.enums import ArchimateElement
from eatool.domain.errors import Code, FieldError
from eatool.domain.kinds import by_kind
from eatool.kube.conditions import Condition, merge
from eatool.kube.contract import RECONCILE_AT
from eatool.kube.status import (
    deletion_status_of,
    patch_between,
    paused_status_of,
    skipped_generations,
    status_of,
)
from eatool.registry.folding import LastEvent
from eatool.registry.outcome import Outcome, Refused, Unavailable, Unchanged, WaitingFor

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 1, 13, tzinfo=UTC)
KIND = by_kind("Server")
REF = KIND.ref("default", "db-1")
STATE = EntityState(REF, 3, KIND.spec.model_validate(SERVER))
LAST = LastEvent(UUID(int=7), "u1", 1, 42)
ERROR = FieldError("spec.x", Code.REFERENCE_NOT_FOUND, "names nothing")
TAKEN = FieldError("spec.name", Code.ALREADY_EXISTS, "is taken")

UNCHANGED = Unchanged(STATE, LAST)
WAITING = WaitingFor(STATE, LAST, (ERROR,), frozenset({KIND.ref("default", "absent")}))
REFUSED = Refused(STATE, LAST, (TAKEN, ERROR))
UNAVAILABLE = Unavailable("the database is away", 5.0)


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}


@pytest.mark.parametrize(
    ("outcome", "verdict", "expected"),
    [
        (UNCHANGED, "Current", {"Ready": ("True", "Recorded")}),
        (
            WAITING,
            "InProgress",
            {
                "Ready": ("False", "ReferenceNotFound"),
                "Reconciling": ("True", "ReferenceNotFound"),
            },
        ),
        (
            REFUSED,
            "Failed",
            {"Ready": ("False", "AlreadyExists"), "Stalled": ("True", "AlreadyExists")},
        ),
        (
            UNAVAILABLE,
            "InProgress",
            {
                "Ready": ("Unknown", "StoreUnavailable"),
                "Reconciling": ("True", "StoreUnavailable"),
            },
        ),
    ],
    ids=["unchanged", "waiting", "refused", "unavailable"],
)
def test_each_outcome_is_told_in_kstatus_terms(
    outcome: Outcome, verdict: str, expected: dict[str, tuple[str, str]]
) -> None:
    body = server(generation=2)
    status = status_of(body, outcome, NOW)
    assert conditions(status) == expected
    assert kstatus({**body, "status": status}) == verdict
    assert all(item["observedGeneration"] == 2 for item in status["conditions"])
    assert kubectl_wait_ready({**body, "status": status}) is (verdict == "Current")


def test_a_fresh_object_is_not_taken_for_a_finished_one() -> None:
    assert kstatus(server()) == "InProgress"


def test_an_outage_leaves_a_ready_status_alone_and_never_claims_to_have_observed() -> None:
    recorded = status_of(server(), UNCHANGED, NOW)
    assert status_of(server(status=recorded), UNAVAILABLE, LATER) == recorded
    newer = status_of(server(status=recorded, generation=2), UNAVAILABLE, LATER)
    assert newer["observedGeneration"] == 1
    assert kstatus(server(status=newer, generation=2)) == "InProgress"


def test_what_was_accepted_stands_while_a_newer_spec_is_refused() -> None:
    status = status_of(server(generation=5), REFUSED, NOW)
    assert status["observedGeneration"] == 5
    assert status["acceptedGeneration"] == 1
    assert status["streamVersion"] == 3
    assert status["position"] == 42
    assert status["lastEventId"] == str(UUID(int=7))


def test_event_type_and_correlation_stay_with_their_event_only() -> None:
    old = {"lastEventId": str(UUID(int=7)), "lastEventType": "T.v1", "correlationId": "c"}
    kept = status_of(server(status=old), UNCHANGED, NOW)
    assert (kept["lastEventType"], kept["correlationId"]) == ("T.v1", "c")
    foreign = status_of(server(status={**old, "lastEventId": str(uuid4())}), UNCHANGED, NOW)
    assert "lastEventType" not in foreign


def test_waiting_names_what_is_missing() -> None:
    assert status_of(server(), WAITING, NOW)["waitingFor"] == ["Server/absent"]


def test_a_forced_reconcile_is_echoed() -> None:
    status = status_of(server(annotations={RECONCILE_AT: "t1"}), UNCHANGED, NOW)
    assert status["lastHandledReconcileAt"] == "t1"


def test_effective_shows_what_follows_from_the_spec() -> None:
    relation = by_kind("Relation")
    written = {
        "sourceType": "application",
        "sourceId": "shop",
        "relationType": "depends_on",
        "targetType": "application",
        "targetId": "hub",
        "archimateRelationship": "Flow",
    }
    spec = relation.spec.model_validate(written)
    state = EntityState(relation.ref("default", "r"), 1, spec)
    derived = spec.model_copy(update={"archimate_element": ArchimateElement.APPLICATION_COMPONENT})
    outcome = Unchanged(state, LAST, effective=derived)
    effective = status_of(server(spec=written), outcome, NOW)["effective"]
    assert effective["archimateElement"] == "ApplicationComponent"
    assert "archimateRelationship" not in effective


def test_effective_shows_only_what_differs_from_what_is_written() -> None:
    spec = {**SERVER, "hostname": "DB-1.Example", "tags": ["b", "a"]}
    accepted = KIND.spec.model_validate(spec)
    outcome = Unchanged(EntityState(REF, 1, accepted), LAST, effective=accepted)
    status = status_of(server(spec=spec), outcome, NOW)
    assert status["effective"] == {"hostname": "db-1.example"}
    assert "effective" not in status_of(server(), UNCHANGED, NOW)


def test_overwritten_generations_are_counted_once() -> None:
    body = server(generation=4, status={"observedGeneration": 1, "skippedGenerations": 5})
    assert skipped_generations(body) == 2
    status = status_of(body, UNCHANGED, NOW)
    assert status["skippedGenerations"] == 7
    assert status_of({**body, "status": status}, UNCHANGED, LATER)["skippedGenerations"] == 7


def test_a_pause_keeps_what_ready_said_of_the_older_generation() -> None:
    recorded = status_of(server(), UNCHANGED, NOW)
    paused = server(generation=2, status=recorded)
    status = paused_status_of(paused, LATER)
    assert conditions(status) == {
        "Ready": ("True", "Recorded"),
        "Paused": ("True", "PausedByAnnotation"),
    }
    assert kstatus({**paused, "status": status}) == "InProgress"
    assert not kubectl_wait_ready({**paused, "status": status})
    assert paused_status_of({**paused, "status": status}, LATER) == status


def test_a_pause_from_the_start_is_not_ready() -> None:
    status = paused_status_of(server(), NOW)
    assert conditions(status)["Ready"] == ("Unknown", "Paused")
    assert kstatus(server(status=status)) == "InProgress"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (REFUSED, "AlreadyExists"),
        (WAITING, "ReferenceNotFound"),
        (UNAVAILABLE, "StoreUnavailable"),
    ],
)
def test_a_deletion_that_has_to_wait_says_why(outcome: Outcome, reason: str) -> None:
    recorded = status_of(server(), UNCHANGED, NOW)
    status = deletion_status_of(server(status=recorded, deleted=True), outcome, LATER)
    assert conditions(status)["Ready"][1] == reason
    assert status["lastEventId"] == recorded["lastEventId"]


def test_a_transition_time_moves_with_the_status_only() -> None:
    first = merge([], [Condition("Ready", "False", "A", "a")], generation=1, now=NOW)
    second = merge(first, [Condition("Ready", "False", "B", "b")], generation=2, now=LATER)
    third = merge(second, [Condition("Ready", "True", "C", "c")], generation=2, now=LATER)
    assert [item[0]["lastTransitionTime"] for item in (first, second, third)] == [
        "2026-11-01T12:00:00Z",
        "2026-11-01T12:00:00Z",
        "2026-11-01T13:00:00Z",
    ]


def test_a_long_message_fits_the_schema() -> None:
    [told] = merge([], [Condition("Ready", "False", "A", "x" * 99999)], generation=1, now=NOW)
    assert len(told["message"]) == 32768


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


_leaves = st.integers(0, 3) | st.sampled_from(["a", "b"]) | st.lists(st.integers(0, 2), max_size=2)
_names = st.sampled_from(["a", "b", "c", "effective"])
_json = st.recursive(
    _leaves, lambda inner: st.dictionaries(_names, inner, max_size=3), max_leaves=8
)
_statuses = st.dictionaries(_names, _json, max_size=4)


@given(_statuses, _statuses)
def test_the_patch_turns_one_status_into_the_other(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    patch = patch_between(old, new)
    assert merge_patch(old, patch) == new
    assert bool(patch) is (old != new)
