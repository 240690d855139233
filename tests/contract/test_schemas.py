"""The schemas say what is published, no more and no less."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest
from jsonschema import Draft7Validator
from tests.contract.conftest import METADATA, Contract, golden_events
from tests.domain.samples import FULL

from eatool.contract.envelopes import ENVELOPE, HEADERS, PLAIN
from eatool.contract.events import METADATA as EVENT_METADATA
from eatool.domain.changes import created
from eatool.domain.decision import EntityState
from eatool.domain.events import JsonObject
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS, event_types
from eatool.domain.parsing import parse
from eatool.publishing.cloudevents import CloudEventsEncoder, ContentMode
from eatool.publishing.topics import TopicTemplate
from eatool.registry.change import ActorType, Annotations, Change, Provenance, Source, Trust
from eatool.registry.envelope import new_events
from eatool.registry.folding import LastEvent
from eatool.store.memory import MemoryEventStore
from eatool.store.port import Append

GOLDEN = dict(golden_events())


def test_every_type_has_a_schema(contract: Contract) -> None:
    assert set(GOLDEN) <= set(contract.schemas)
    assert set(event_types()) <= set(contract.schemas)


@pytest.mark.parametrize("name", Contract().schemas)
def test_schemas_are_draft_07(contract: Contract, name: str) -> None:
    Draft7Validator.check_schema(contract.schemas[name])


@pytest.mark.parametrize("name", GOLDEN)
def test_what_a_log_holds_fits(contract: Contract, name: str) -> None:
    assert contract.complaints(name, {**GOLDEN[name], "metadata": METADATA}) == []


def _lose(*path: str) -> Callable[[Any], None]:
    def mutate(data: Any) -> None:
        *parents, last = path
        for key in parents:
            data = data[key]
        del data[last]

    return mutate


def _set(value: object, *path: str) -> Callable[[Any], None]:
    def mutate(data: Any) -> None:
        *parents, last = path
        for key in parents:
            data = data[key]
        data[last] = value

    return mutate


@pytest.mark.parametrize(
    ("mutate", "place"),
    [
        (_lose("entity"), "$"),
        (_lose("metadata"), "$"),
        (_set(1, "extra"), "$"),
        (_lose("entity", "owner"), "$.entity"),
        (_set(None, "entity", "owner"), "$.entity.owner"),
        (_set("", "entity", "name"), "$.entity.name"),
        (_set("x" * 256, "entity", "name"), "$.entity.name"),
        (_set("on", "entity", "lifecycle"), "$.entity.lifecycle"),
        (_set("yesterday", "entity", "sunset_date"), "$.entity.sunset_date"),
        (_set(["x"] * 51, "entity", "tags"), "$.entity.tags"),
        (_set("x", "entity", "colour"), "$.entity"),
        (_set({}, "changes"), "$.changes"),
        (_set({"old": 1, "new": 2}, "changes", "colour"), "$.changes"),
        (_lose("changes", "owner", "new"), "$.changes.owner"),
        (_set("it", "changes", "owner", "old"), "$.changes.owner.old"),
        (_lose("metadata", "uid"), "$.metadata"),
        (_set("guessed", "metadata", "trust"), "$.metadata.trust"),
    ],
)
def test_anything_else_does_not(
    contract: Contract, mutate: Callable[[Any], None], place: str
) -> None:
    event = copy.deepcopy({**GOLDEN["ApplicationCreated.v1"], "metadata": METADATA})
    mutate(event)
    assert {
        complaint.partition(": ")[0]
        for complaint in contract.complaints("ApplicationCreated.v1", event)
    } == {place}


def test_a_state_change_names_its_own_field_only(contract: Contract) -> None:
    event = copy.deepcopy({**GOLDEN["ApplicationLifecycleChanged.v1"], "metadata": METADATA})
    event["changes"]["owner"] = {"old": "a", "new": "b"}
    assert contract.complaints("ApplicationLifecycleChanged.v1", event)


def recorded(*, told: Provenance, last: LastEvent | None) -> MemoryEventStore:
    """A log with one event, made as the registry makes them."""
    kind = KINDS["application"]
    ref = EntityRef("application", "shop", "erp")
    change = Change(ref=ref, uid=METADATA["uid"], generation=2, provenance=told)
    spec = parse(kind, FULL["Application"])
    event = created(kind, spec)
    state = EntityState(ref, version=0, spec=None if last is None else spec)
    store = MemoryEventStore()
    store.append(Append(ref.stream_id, 0, new_events(change, [event], state, last)))
    return store


EVERYTHING_KNOWN = recorded(
    told=Provenance(
        actor="jane@example.com",
        actor_type=ActorType.USER,
        trust=Trust.AUTHENTICATED,
        source=Source.API,
        field_manager="kubectl",
        reason="why not",
        approval_id="CAB-17",
        override="reactivate",
        corrects_event_id=METADATA["corrects_event_id"],
        annotations=Annotations(reason="kept"),
        correlation="CHG-4711",
        traceparent=METADATA["traceparent"],
        occurred_at=datetime(2026, 11, 23, tzinfo=UTC),
    ),
    last=LastEvent(uuid4(), METADATA["uid"], 1, 1, given={"reason": "kept"}),
)
NOTHING_KNOWN = recorded(told=Provenance(), last=None)


@pytest.mark.parametrize("store", [EVERYTHING_KNOWN, NOTHING_KNOWN], ids=["all", "nothing"])
def test_what_is_published_fits(contract: Contract, store: MemoryEventStore) -> None:
    (stored,) = store.read_stored()
    structured = CloudEventsEncoder(TopicTemplate(), ContentMode.STRUCTURED)(stored)
    envelope = orjson.loads(structured.payload)
    assert contract.complaints(ENVELOPE, envelope) == []
    assert contract.complaints(stored.type, envelope["data"]) == []
    binary = CloudEventsEncoder(TopicTemplate(), ContentMode.BINARY)(stored)
    assert contract.complaints(HEADERS, dict(binary.attributes)) == []
    assert contract.complaints(stored.type, orjson.loads(binary.payload)) == []
    plain = orjson.loads(CloudEventsEncoder(TopicTemplate(), ContentMode.JSON)(stored).payload)
    assert contract.complaints(PLAIN, plain) == []
    assert contract.complaints(stored.type, plain["data"]) == []


def test_everything_that_is_published_is_described(contract: Contract) -> None:
    """The envelope and the metadata are open objects: what they gain must be written down too."""

    def described(name: str) -> set[str]:
        return set(contract.schemas[name]["properties"])

    (stored,) = EVERYTHING_KNOWN.read_stored()
    envelope: JsonObject = orjson.loads(CloudEventsEncoder(TopicTemplate())(stored).payload)
    assert set(envelope) - {"data"} == described(ENVELOPE)
    assert set(envelope["data"]["metadata"]) == described(EVENT_METADATA) == set(METADATA)
    binary = CloudEventsEncoder(TopicTemplate(), ContentMode.BINARY)(stored)
    assert set(binary.attributes) == described(HEADERS)
    plain = orjson.loads(CloudEventsEncoder(TopicTemplate(), ContentMode.JSON)(stored).payload)
    assert set(plain) - {"data"} == described(PLAIN)
