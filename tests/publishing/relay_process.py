"""A relay as a process of its own, to be killed: ``python -m ... STORE_URL PORT``."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

from tests.publishing.support import QUICK, make_relay

from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import MqttOptions
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore


async def main(url: str, port: int) -> None:
    relay = make_relay(
        SqlEventStore(open_engine(url)),
        lambda: MqttPublisher(MqttOptions("127.0.0.1", port)),
        SqlCheckpoints(open_engine(url)),
        options=replace(QUICK, lease=1.5, window=64, flush_interval=0.1),
    )
    await relay.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
