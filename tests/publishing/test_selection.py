"""What a broker is declared to be sent is all that it is sent."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.publishing.support import make_relay, running, until

from eatool.publishing.assembly import assemble
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.declared.broker import EventBrokerSpec
from eatool.publishing.memory import MemoryBroker
from eatool.publishing.selection import Selection
from eatool.store.memory import MemoryEventStore
from eatool.store.port import Append, NewEvent

KINDS = {"application": "Application", "data_entity": "DataEntity", "server": "Server"}
NAMESPACES = ("shop", "shop-2", "bank")
CHANGES = ("Created", "Updated")

#: Kind, namespace, event type.
Sent = tuple[str, str, str]
EVERYTHING = {
    (kind, namespace, f"{kind}{change}")
    for kind, namespace, change in product(KINDS.values(), NAMESPACES, CHANGES)
}


def write_everything(store: MemoryEventStore) -> None:
    """An entity of each kind in each namespace, with an event of each type."""
    for (entity_type, kind), namespace in product(KINDS.items(), NAMESPACES):
        events = tuple(
            NewEvent(uuid4(), f"{kind}{change}.v1", {"entity": {}, "changes": {}}, {}, "jane")
            for change in CHANGES
        )
        store.append_batch([(Append(f"{entity_type}/{namespace}/e-1", 0, events),)])


async def sent(selection: Selection, store: MemoryEventStore) -> set[Sent]:
    broker = MemoryBroker()
    relay = make_relay(store, broker.publisher, MemoryCheckpoints(), selects=selection)
    async with running(relay):
        await until(lambda: relay.status().position == len(EVERYTHING))
    found = set()
    for message in broker.delivered:
        entity_type, namespace, _ = message.stream_id.split("/")
        event_type = message.topic.split("/")[-2]
        found.add((KINDS[entity_type], namespace, event_type))
    assert len(found) == len(broker.delivered)
    return found


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        (None, EVERYTHING),
        ({"kinds": ["Server"]}, {each for each in EVERYTHING if each[0] == "Server"}),
        (
            {"kinds": ["DataEntity", "Application"]},
            {each for each in EVERYTHING if each[0] != "Server"},
        ),
        ({"namespaces": ["shop"]}, {each for each in EVERYTHING if each[1] == "shop"}),
        ({"namespaces": ["shop", "bank"]}, {each for each in EVERYTHING if each[1] != "shop-2"}),
        (
            {"eventTypes": ["ServerCreated", "ApplicationUpdated"]},
            {each for each in EVERYTHING if each[2] in {"ServerCreated", "ApplicationUpdated"}},
        ),
        (
            {"kinds": ["Server"], "namespaces": ["bank"]},
            {("Server", "bank", "ServerCreated"), ("Server", "bank", "ServerUpdated")},
        ),
        (
            {
                "kinds": ["Server", "Application"],
                "namespaces": ["bank", "shop"],
                "eventTypes": ["ServerUpdated", "DataEntityUpdated"],
            },
            {("Server", "bank", "ServerUpdated"), ("Server", "shop", "ServerUpdated")},
        ),
        ({"kinds": ["Server"], "eventTypes": ["DataEntityUpdated"]}, set()),
    ],
    ids=[
        "all", "one kind", "two kinds", "one namespace", "two namespaces", "event types",
        "kind and namespace", "all three", "nothing",
    ],
)  # fmt: skip
async def test_a_broker_is_sent_what_is_selected_and_nothing_else(
    store: MemoryEventStore, tmp_path: Path, select: dict[str, Any] | None, expected: set[Sent]
) -> None:
    write_everything(store)
    spec = EventBrokerSpec.model_validate(
        {"type": "mqtt", "addresses": ["mqtt://broker.example"], "select": select}
    )
    declared = assemble("b", spec, {}, environment="dev", material=tmp_path)
    assert await sent(declared.selection, store) == expected


async def test_streams_narrow_what_else_is_selected(store: MemoryEventStore) -> None:
    write_everything(store)
    streams = frozenset({"server/bank/e-1", "server/shop-2/e-1", "application/bank/e-1"})
    selection = Selection(
        frozenset({"server"}), frozenset({"ServerCreated"}), frozenset({"bank", "shop"}), streams
    )
    assert await sent(selection, store) == {("Server", "bank", "ServerCreated")}
