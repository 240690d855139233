"""What a subscriber on Solace's own client library gets of what the relay sends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.dev.smf.conftest import Connect, connect, library
from tests.publishing.support import Writer, until

from eatool.dev.smf import SmfBroker
from eatool.publishing.assembly import assemble
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.declared.broker import EventBrokerSpec
from eatool.publishing.destination import Destination
from eatool.publishing.observer import NullObserver
from eatool.store.memory import MemoryEventStore

__all__ = ["connect", "library"]

LOGIN = {"login": {"username": b"eatool", "password": b"eatool"}}
LAST = "eatool/v1/prod/application/last/of/all"


def declared(solace: SmfBroker, environment: str, folder: Path) -> Destination:
    spec = EventBrokerSpec.model_validate(
        {
            "type": "solace",
            "addresses": [solace.url],
            "credentials": {"basic": {"name": "login"}},
        }
    )
    return assemble(environment, spec, LOGIN, environment=environment, material=folder)


async def published(destination: Destination, store: MemoryEventStore) -> None:
    relay = destination.relay(store, MemoryCheckpoints(), owner="test", observer=NullObserver())
    task = asyncio.create_task(relay.run())
    head = max(event.position for event in store.read_stored())
    await until(lambda: relay.status().position == head)
    await relay.stop()
    await task


def topics(receiver: Any) -> list[str]:
    """Of what has come, up to the last message."""
    found: list[str] = []
    while (message := receiver.receive_message(5000)) is not None:
        if message.get_destination_name() == LAST:
            return found
        found.append(message.get_destination_name())
    raise AssertionError(f"the last message did not come, but {found}")


async def test_a_subscriber_to_one_kind_gets_all_of_it_and_nothing_else(
    solace: SmfBroker, connect: Connect, store: MemoryEventStore, writer: Writer, tmp_path: Path
) -> None:
    client = await asyncio.to_thread(connect, solace, name="subscriber")
    one_kind = client.subscribe("eatool/v1/prod/application/>")
    creations = client.subscribe("eatool/v1/*/*/ApplicationCreated/>", LAST)
    # Of a kind whose name begins alike, and of another; the events' types do not matter here.
    others = ["application_service/shop/webshop", "server/shop/webshop"]
    writer.write(["application/shop/webshop", "application/shop/web.shop", *others], rounds=2)
    for environment in ("staging", "prod"):
        await published(declared(solace, environment, tmp_path), store)
    await asyncio.to_thread(client.publish, ["end"], LAST)

    wanted = [
        f"eatool/v1/prod/application/Application{change}/{name}"
        for change in ("Created", "Updated")
        for name in ("webshop", "web.shop")
    ]
    assert sorted(await asyncio.to_thread(topics, one_kind)) == sorted(wanted)
    assert sorted(await asyncio.to_thread(topics, creations)) == sorted(
        f"eatool/v1/{environment}/{kind}/ApplicationCreated/{name}"
        for environment in ("staging", "prod")
        for kind, name in [
            ("application", "webshop"),
            ("application", "web.shop"),
            ("application_service", "webshop"),
            ("server", "webshop"),
        ]
    )
