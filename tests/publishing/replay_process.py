"""A replay as a process of its own, to be killed: ``python -m ... STORE_URL PORT MATERIAL``."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from eatool.publishing.assembly import assemble_replay
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.declared.broker import EventBrokerSpec
from eatool.publishing.declared.replay import EventReplaySpec
from eatool.publishing.fleet import Fleet
from eatool.publishing.observer import NullObserver
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

START, UNTIL = 300, 900
REPLAY = EventReplaySpec.model_validate(
    {
        "broker": "events",
        "topicPrefix": "again",
        "rateLimit": {"eventsPerSecond": 150, "burst": 50},
    }
)


async def main(url: str, port: int, material: Path) -> None:
    broker = EventBrokerSpec(type="mqtt", addresses=(f"mqtt://127.0.0.1:{port}",))
    destination = assemble_replay(
        "r", REPLAY, broker, {}, environment="dev", material=material, start=START, until=UNTIL
    )
    options = replace(destination.options, lease=1.5, flush_interval=0.1)
    fleet = Fleet(
        SqlEventStore(open_engine(url)),
        SqlCheckpoints(open_engine(url)),
        owner="replaying",
        observer_of=lambda _name: NullObserver(),
    )
    await fleet.put(replace(destination, options=options), "1")
    while not fleet.finished(destination.name):
        await asyncio.sleep(0.05)
    await fleet.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
