"""Real brokers for the proofs; without one of them a proof says that it did not run."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crds.conftest import crds, platform_crds
from tests.plugins.mosquitto import BrokerFactory
from tests.plugins.solace import MakeSolaceProcess
from tests.proofs.brokers import OPEN, Tormented, TormentedMosquitto, TormentedSolace

__all__ = ["crds", "platform_crds"]

#: A run that failed is repeated with the seed it printed.
SEED = "EATOOL_PROOF_SEED"


@pytest.fixture
def chance() -> random.Random:
    """Everything that a proof leaves to chance."""
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(10**6))
    print(f"{SEED}={seed}")
    return random.Random(seed)


@pytest.fixture
def brokers(
    make_mosquitto: BrokerFactory, make_solace_process: MakeSolaceProcess, chance: random.Random
) -> Iterator[dict[str, Tormented]]:
    """Both, by name."""
    mosquitto = make_mosquitto(acl=OPEN)
    mosquitto.start()
    mqtt = TormentedMosquitto(mosquitto, chance)
    yield {mqtt.name: mqtt, "solace": TormentedSolace(make_solace_process(), chance)}
    mqtt.subscriber.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For what the relays keep."""
    made = tmp_path / "relays"
    made.mkdir()
    return made
