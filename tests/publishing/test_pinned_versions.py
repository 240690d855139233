"""Consumers pinned to a version are sent that version, whatever the log holds."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.publishing.support import Writer, make_relay, running, stream, until

from eatool.domain.upcasting import Downcaster, DowncasterChain, Upcaster, UpcasterChain
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.cloudevents import CloudEventsEncoder
from eatool.publishing.memory import MemoryBroker
from eatool.publishing.port import PermanentPublishError
from eatool.publishing.topics import TopicTemplate
from eatool.store.encoding import StoredEvent
from eatool.store.memory import MemoryEventStore

NEWEST = {"ApplicationCreated": 3, "ApplicationUpdated": 1}
UP = UpcasterChain(
    [
        Upcaster("ApplicationCreated", 1, lambda data: {**data, "two": 2}),
        Upcaster("ApplicationCreated", 2, lambda data: {**data, "three": 3}),
    ],
    NEWEST,
)


def without(field: str) -> Any:
    return lambda data: {key: value for key, value in data.items() if key != field}


DOWN = DowncasterChain(
    [
        Downcaster("ApplicationCreated", 3, without("three")),
        Downcaster("ApplicationCreated", 2, without("two")),
    ],
    NEWEST,
)


def encoder(pin: int) -> CloudEventsEncoder:
    return CloudEventsEncoder(
        TopicTemplate("{event_type}/{event_version}/{entity_id}"),
        upcast=UP.upcast,
        downcast=DOWN.downcast,
        accepted={"ApplicationCreated": pin},
    )


@pytest.fixture
def created(store: MemoryEventStore, writer: Writer) -> StoredEvent:
    writer.write([stream(1)])
    (event,) = store.read_stored()
    return event


def added(event: StoredEvent, **more: int) -> StoredEvent:
    return event._replace(
        type=f"ApplicationCreated.v{1 + len(more)}",
        data=orjson.dumps(
            {**orjson.loads(event.data), **more}, option=orjson.OPT_SORT_KEYS
        ).decode(),
    )


@pytest.mark.parametrize("pin", [1, 2, 3])
def test_every_stored_version_goes_out_as_the_pinned_one(created: StoredEvent, pin: int) -> None:
    encode = encoder(pin)
    plain = orjson.loads(created.data)
    expected = [plain, {**plain, "two": 2}, {**plain, "two": 2, "three": 3}][pin - 1]
    for stored in (created, added(created, two=2), added(created, two=2, three=3)):
        message = encode(stored)
        body = orjson.loads(message.payload)
        assert body["type"] == f"io.eatool.application.ApplicationCreated.v{pin}"
        assert message.topic == f"ApplicationCreated/v{pin}/app-1"
        del body["data"]["metadata"]
        assert body["data"] == expected


def test_a_stored_event_of_the_pinned_version_goes_out_as_it_is(created: StoredEvent) -> None:
    odd = created._replace(data='{"kept": "as written"}')
    body = orjson.loads(encoder(1)(odd).payload)
    assert body["data"]["kept"] == "as written"


def test_other_types_are_not_pinned(created: StoredEvent) -> None:
    updated = created._replace(type="ApplicationUpdated.v1")
    assert orjson.loads(encoder(1)(updated).payload)["type"].endswith("ApplicationUpdated.v1")


def test_what_a_newer_release_wrote_is_refused_rather_than_breaking_consumers(
    created: StoredEvent,
) -> None:
    with pytest.raises(PermanentPublishError, match="pinned to v1"):
        encoder(1)(created._replace(type="ApplicationCreated.v9"))


async def test_it_parks_its_stream_alone(
    store: MemoryEventStore, writer: Writer, checkpoints: MemoryCheckpoints
) -> None:
    def of_the_future(event: StoredEvent) -> StoredEvent:
        newer = event.stream_id == stream(1)
        return event._replace(type="ApplicationCreated.v9") if newer else event

    broker = MemoryBroker()
    writer.write(map(stream, range(4)))
    encode = encoder(1)
    relay = make_relay(
        store,
        broker.publisher,
        checkpoints,
        encoder=lambda event: encode(of_the_future(event)),
    )
    async with running(relay):
        await until(lambda: len(broker.delivered) == 3)
        await until(lambda: len(checkpoints.parked("test")) == 1)
    assert "pinned to v1" in checkpoints.parked("test")[0].reason
