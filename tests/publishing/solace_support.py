"""A stand-in of a Solace broker, and publishers that go to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from eatool.dev.smf import ReceivedMessage, SmfBroker
from eatool.dev.smf.process import BrokerProcess
from eatool.publishing.port import DEFAULT_DELIVERY, Delivery, Message
from eatool.publishing.solace import SolacePublisher
from eatool.publishing.solace_options import SolaceOptions


def options_of(broker: SmfBroker | BrokerProcess, **changed: Any) -> SolaceOptions:
    """How to reach the stand-in."""
    known: dict[str, Any] = {"username": "eatool", "password": "eatool"}
    return SolaceOptions("127.0.0.1", broker.port, **(known | changed))


@asynccontextmanager
async def session(broker: SmfBroker, **changed: Any) -> AsyncIterator[SolacePublisher]:
    """A connected publisher."""
    publisher = SolacePublisher(options_of(broker, **changed))
    try:
        await publisher.connect()
        yield publisher
    finally:
        await publisher.close()


def message(
    number: int = 1,
    *,
    topic: str | None = None,
    payload: bytes = b"{}",
    delivery: Delivery = DEFAULT_DELIVERY,
) -> Message:
    """An event of application ``number`` in binary mode."""
    return Message(
        topic or f"eatool/v1/dev/application/ApplicationCreated/app-{number}",
        payload,
        "application/json",
        {"id": f"event-{number}", "type": "io.eatool.application.ApplicationCreated.v1"},
        f"event-{number}",
        f"application/shop/app-{number}",
        f"change-{number}",
        delivery,
    )


def arrivals(messages: list[ReceivedMessage]) -> list[tuple[str, int, str]]:
    """``(stream, version, event id)`` of structured messages in order."""
    bodies = [orjson.loads(each.payload) for each in messages]
    return [(body["partitionkey"], int(body["sequence"]), body["id"]) for body in bodies]
