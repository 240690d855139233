"""Ids are the same for the same record, and for no other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.domain.memory_landscape import MemoryLandscape
from tests.registry.sites import SERVER, change, ref

from eatool.domain.decide import decide, parse
from eatool.domain.decision import Accepted, EntityState
from eatool.domain.kinds import by_kind
from eatool.domain.landscape import Request
from eatool.registry.annotations import with_annotations
from eatool.registry.change import Annotations, Change, Provenance, Source, Trust
from eatool.registry.envelope import correlation_of, new_events
from eatool.registry.folding import LastEvent
from eatool.store.port import NewEvent

SERVERS = by_kind("Server")


def envelope(
    wanted: Change, spec: dict[str, Any] | None = None, last: LastEvent | None = None
) -> tuple[NewEvent, ...]:
    state = EntityState(ref("Server", "db-1"))
    decision = decide(
        SERVERS,
        state,
        parse(SERVERS, spec or SERVER),
        landscape=MemoryLandscape(),
        request=Request(),
    )
    assert isinstance(decision, Accepted)
    return new_events(wanted, decision.events, state, last)


def test_a_repeated_attempt_has_the_same_ids() -> None:
    wanted = change("Server", "db-1", SERVER, generation=3)
    assert envelope(wanted) == envelope(wanted)


@pytest.mark.parametrize(
    ("other", "spec"),
    [
        (change("Server", "db-1", generation=4), SERVER),
        (change("Server", "db-1", generation=3, uid="other"), SERVER),
        (change("Server", "db-1", generation=3), {**SERVER, "region": "north"}),
    ],
)
def test_another_record_has_other_ids(other: Change, spec: dict[str, Any]) -> None:
    first = envelope(change("Server", "db-1", generation=3))
    assert {event.event_id for event in first}.isdisjoint(
        event.event_id for event in envelope(other, spec)
    )


def test_metadata_names_what_is_known_and_nothing_else() -> None:
    occurred = datetime(2026, 1, 31, 8, 30, tzinfo=UTC)
    (event,) = envelope(
        change(
            "Server",
            "db-1",
            generation=3,
            actor="jane",
            trust=Trust.AUTHENTICATED,
            source=Source.GITOPS,
            reason="new rack",
            occurred_at=occurred,
            traceparent="not a traceparent",
        ),
        last=LastEvent(uuid4(), "uid-db-1", 1, 5),
    )
    assert event.metadata == {
        "uid": "uid-db-1",
        "generation": 3,
        "previous_generation": 1,
        "actor_type": "system",
        "trust": "authenticated",
        "source": "gitops",
        "reason": "new rack",
        "occurred_at": "2026-01-31T08:30:00Z",
        "schema_version": 1,
    }
    assert event.actor == "jane"


def test_without_a_token_what_belongs_to_a_revision_correlates() -> None:
    third, fourth = (change("Server", "db-1", generation=generation) for generation in (3, 4))
    (event,) = envelope(third)
    assert event.correlation_id == correlation_of(None, third.uid, 3)
    assert envelope(fourth)[0].correlation_id != event.correlation_id


def test_a_token_becomes_a_uuid() -> None:
    def of(token: str) -> UUID:
        return correlation_of(token, "uid", 1)

    given = uuid4()
    assert of(str(given)) == given
    assert of(" release-42 ") == of("release-42") == correlation_of("release-42", "other", 2)
    assert isinstance(of("half a character: \ud83d"), UUID)
    assert of("  ") == correlation_of(None, "uid", 1)


def test_long_texts_are_cut_to_what_the_log_takes() -> None:
    (event,) = envelope(change("Server", "db-1", generation=1, actor="a" * 300, reason="r" * 5000))
    assert len(event.actor) == 255
    assert len(event.metadata["reason"]) == 2000


def test_annotations_are_told_apart_from_what_the_command_says() -> None:
    told = with_annotations(
        Provenance(reason="bulk import", approval_id="ARB-1"),
        {"eatool.io/reason": "replaced", "eatool.io/approval-id": " ", "other": "x"},
    )
    assert (told.reason, told.approval_id) == ("bulk import", "ARB-1")
    assert told.annotations == Annotations(reason="replaced")
