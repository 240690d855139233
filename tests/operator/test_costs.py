"""What a change costs the API server: how many writing requests, of which kind."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.operator.operators import Operator, until
from tests.operator.platform_site import PlatformSite
from tests.operator.site import SERVER, Site
from tests.plugins.mosquitto import Mosquitto

from eatool.dev.faultproxy import FaultProxy
from eatool.kube.platform.resources import EVENT_BROKER

OBJECTS = 15


@pytest.fixture(scope="module")
def settings(site: Site) -> dict[str, Any]:
    return {"namespace": site.namespace, "resync_interval": 3600}


class Meter:
    """Writing requests of the operator for Servers since the last look, by verb and subresource."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        proxy.log.clear()

    def read(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for (verb, _, part), count in self._proxy.log.counts(resource="servers").items():
            if verb not in ("get", "list", "watch"):
                found[f"{verb} {part}".strip()] += count
        self._proxy.log.clear()
        return dict(found)


class Fleet:
    """Servers that are changed all at once."""

    def __init__(self, site: Site, prefix: str) -> None:
        self.site = site
        self.names = [f"{prefix}-{number}" for number in range(OBJECTS)]

    def create(self) -> None:
        for name in self.names:
            # One host name for all would be a warning that follows the others.
            self.site.create("Server", name, {**SERVER, "hostname": f"{name}.example"})
        self.site.await_current()

    def update(self, region: str) -> None:
        for name in self.names:
            self.site.change("Server", name, region=region)
        self.site.await_current()

    def delete(self) -> None:
        for name in self.names:
            self.site.delete("Server", name)
        self.site.await_empty()

    def published(self) -> bool:
        told = {self.site.condition("Server", name, "Published") for name in self.names}
        return told == {("True", "Acknowledged")}


def test_a_change_costs_one_write(operator: Operator, proxy: FaultProxy, site: Site) -> None:
    fleet, meter = Fleet(site, "plain"), Meter(proxy)
    fleet.create()
    assert meter.read() == {"patch": OBJECTS, "patch status": OBJECTS}
    fleet.update("north")
    assert meter.read() == {"patch status": OBJECTS}
    fleet.delete()
    assert meter.read() == {"patch": OBJECTS}


def test_a_broker_that_is_required_costs_one_write_more_and_another_none(
    operator: Operator, proxy: FaultProxy, site: Site, platform: PlatformSite, broker: Mosquitto
) -> None:
    fleet, meter = Fleet(site, "published"), Meter(proxy)
    platform.broker("beside", broker.port, required=False)
    platform.await_reason(EVENT_BROKER, "beside", "Publishing")
    fleet.create()
    fleet.update("north")
    platform.await_caught_up("beside")
    assert meter.read() == {"patch": OBJECTS, "patch status": 2 * OBJECTS}

    platform.broker("needed", broker.port, topicTemplate="needed/{entity_id}")
    platform.await_reason(EVENT_BROKER, "needed", "Publishing")
    platform.await_caught_up("needed")
    assert meter.read() == {}, "what was recorded before is not judged again"
    fleet.update("south")
    until(fleet.published, "the update is published")
    assert meter.read() == {"patch status": 2 * OBJECTS}, "recorded, then acknowledged"
    fleet.delete()
    assert meter.read() == {"patch": OBJECTS}
