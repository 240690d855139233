"""A world to decide in: one namespace with a registry in memory."""

from __future__ import annotations

from typing import Any

import pytest
from tests.domain.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def populated(world: World) -> World:
    """An organization, a capability, two applications, a service, a server, a data entity."""
    specs: dict[tuple[str, str], dict[str, Any]] = {
        ("Organization", "acme"): {"name": "Acme"},
        ("BusinessCapability", "sell"): {"name": "Sell"},
        ("Application", "shop"): World.application("Shop", capabilityId="sell"),
        ("Application", "erp"): World.application("ERP"),
        ("ApplicationService", "order"): {"name": "Order", "exposedByAppIds": ["shop"]},
        ("Server", "db"): {"hostname": "db", "environment": "prod", "criticality": "high"},
        ("DataEntity", "customer"): {
            "name": "Customer",
            "classification": "restricted",
            "criticality": "high",
        },
    }
    for (kind, name), spec in specs.items():
        world.apply(kind, name, spec)
    return world
