"""What a broker keeps of an assembled publisher, and what name it sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.plugins.mosquitto import BrokerFactory, Mosquitto
from tests.plugins.mqtt_brokers.peer import Peer
from tests.publishing.support import until

from eatool.publishing.assembly import assemble
from eatool.publishing.declared.broker import EventBrokerSpec
from eatool.publishing.mqtt_options import Version
from eatool.publishing.port import Message, Publisher, SessionLost

KEPT = "$SYS/broker/clients/disconnected"
RECONNECTS = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "material"


def publisher_to(broker: Mosquitto, folder: Path, name: str = "events", **mqtt: Any) -> Publisher:
    spec = EventBrokerSpec.model_validate(
        {"type": "mqtt", "addresses": [f"mqtt://127.0.0.1:{broker.port}"], "mqtt": mqtt}
    )
    return assemble(name, spec, {}, environment="dev", material=folder).publisher_factory()


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_connections_leave_no_session_behind(
    make_mosquitto: BrokerFactory, folder: Path, version: Version, qos: int
) -> None:
    broker = make_mosquitto(settings={"sys_interval": "1"})
    broker.start()
    for _ in range(RECONNECTS):
        publisher = publisher_to(broker, folder, version=version, qos=qos)
        await publisher.connect()
        await publisher.publish(Message("eatool/x", b"{}", "application/json", {}, "id", "stream"))
        await publisher.close()

    # The figure is renewed once a second: one that counts a later session counts the earlier ones.
    marker = Peer(broker.port, "5", persistent=True)
    marker.connect()
    marker.disconnect()
    watch = Peer(broker.port, "5")
    watch.connect()
    watch.subscribe(KEPT, 0)
    await until(lambda: any(int(each.payload) > 0 for each in watch.messages))
    assert {int(each.payload) for each in watch.messages} <= {0, 1}, "the marker's alone"
    watch.disconnect()


@pytest.mark.parametrize(
    ("given", "prefix"), [({"clientId": "registry"}, "registry-"), ({}, "eatool-events-")]
)
async def test_a_broker_that_goes_by_client_ids_knows_the_declared_one(
    make_mosquitto: BrokerFactory, folder: Path, given: dict[str, str], prefix: str
) -> None:
    broker = make_mosquitto(settings={"clientid_prefixes": prefix})
    broker.start()
    first, second = (publisher_to(broker, folder, **given) for _ in range(2))
    await first.connect()
    await second.connect()
    # Both still there: the ids differ, or the second would have ended the first.
    for publisher in (first, second):
        await publisher.publish(Message("eatool/x", b"{}", "application/json", {}, "id", "stream"))
        await publisher.close()
    other = publisher_to(broker, folder, name="other")
    with pytest.raises(SessionLost):
        await other.connect()
    await other.close()
