"""Real MQTT brokers for the conformance suite, each started once, on loopback, and ended with it.

What is missing is said loudly; with ``EATOOL_REQUIRE_MQTT_BROKERS=1`` it fails the run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.plugins.certificates import Certificates
from tests.plugins.mqtt_brokers.broker import Broker
from tests.plugins.mqtt_brokers.hivemq import HiveMqBroker
from tests.plugins.mqtt_brokers.mosquitto import MosquittoBroker
from tests.plugins.mqtt_brokers.nats import NatsBroker
from tests.plugins.mqtt_brokers.rabbitmq import RabbitBroker

PRODUCTS: Final[dict[str, type[Broker]]] = {
    product.name: product for product in (MosquittoBroker, HiveMqBroker, RabbitBroker, NatsBroker)
}


def require(product: type[Broker]) -> None:
    """Skip or fail when it cannot be started here, saying what to install."""
    missing = product.missing()
    if missing is None:
        return
    if os.environ.get("EATOOL_REQUIRE_MQTT_BROKERS") == "1":
        pytest.fail(missing)
    pytest.skip(f"NOT RUN: {missing}")


class Brokers:
    """Makes each broker when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[type[Broker], Broker] = {}
        self.certificates = Certificates.create(folder)

    def get(self, product: type[Broker]) -> Broker:
        """The one broker of its kind."""
        if product not in self._made:
            require(product)
            self._made[product] = product(self._folder / product.name, self.certificates)
        return self._made[product]

    def close(self) -> None:
        """End all processes."""
        for broker in self._made.values():
            broker.close()


@pytest.fixture(scope="session")
def mqtt_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """Lives as long as the run: starting takes some brokers seconds."""
    brokers = Brokers(tmp_path_factory.mktemp("mqtt-brokers"))
    yield brokers
    brokers.close()
