"""Two declared brokers beside the sample landscape, on the real API server; each dies once.

What people see at every moment: ``kubectl get eventbrokers``, and the conditions of the entities.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.operator.conftest import new_site
from tests.operator.operators import Operator, running, until
from tests.operator.platform_site import PlatformSite
from tests.operator.site import Site, landscape
from tests.plugins.mosquitto import BrokerFactory, Mosquitto
from tests.plugins.solace import MakeSolaceProcess
from tests.publishing.solace_support import arrivals
from tests.publishing.subscriber import Subscriber

from eatool.dev.apiclient import ApiClient
from eatool.dev.controlplane import ControlPlane
from eatool.dev.smf.process import BrokerProcess
from eatool.kube.platform.resources import EVENT_BROKER

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

#: Applications that are changed in an outage; each change is one event.
CHANGED = ("ticket-shop", "fare-engine", "rider-assistant")
ALIVE = ("True", "True", "0")
DEAD = ("False", "False", str(len(CHANGED)))
#: Backoff of the relay included, which grows with the length of an outage.
BACK = 90.0


@pytest.fixture
def site(platform_crds: None, admin: ApiClient) -> Site:
    return new_site(admin)


@pytest.fixture
def platform(
    site: Site, admin: ApiClient, kubectl: Path, control_plane: ControlPlane
) -> PlatformSite:
    return PlatformSite(admin, site.namespace, kubectl, control_plane.kubeconfig)


@pytest.fixture
def operator(
    crds: None, control_plane: ControlPlane, tmp_path: Path, site: Site
) -> Iterator[Operator]:
    namespace = site.namespace
    options: dict[str, Any] = {"namespaces": namespace, "namespace": namespace}
    with running(Operator(control_plane.kubeconfig, tmp_path, **options)) as operator:
        yield operator


@pytest.fixture
def mosquitto(make_mosquitto: BrokerFactory) -> Mosquitto:
    broker = make_mosquitto()
    broker.start()
    return broker


@pytest.fixture
def subscriber(mosquitto: Mosquitto) -> Iterator[Subscriber]:
    """Its session is saved: it outlasts the death of the broker."""
    subscriber = Subscriber(mosquitto.port)
    mosquitto.save()
    yield subscriber
    subscriber.close()


@pytest.fixture
def solace(make_solace_process: MakeSolaceProcess) -> BrokerProcess:
    return make_solace_process()


def declare(platform: PlatformSite, mosquitto: Mosquitto, solace: BrokerProcess) -> None:
    platform.broker("mosquitto", mosquitto.port)
    platform.secret("solace-login", username="eatool", password="eatool")
    platform.create(
        EVENT_BROKER,
        "solace",
        type="solace",
        addresses=[solace.url],
        credentials={"basic": {"name": "solace-login"}},
    )


def told(platform: PlatformSite, name: str) -> tuple[str, ...]:
    """Ready, Connected and Lag as kubectl prints them."""
    row = platform.row(name)
    return row["READY"], row["CONNECTED"], row["LAG"]


def await_told(
    platform: PlatformSite, name: str, what: tuple[str, ...], *, seconds: float = 30
) -> None:
    until(lambda: told(platform, name) == what, f"{name} is told {what}", seconds=seconds)


def published(site: Site, name: str) -> tuple[str, str, str]:
    """Status, reason and message of an application's condition."""
    conditions = site.get("Application", name)["status"]["conditions"]
    (found,) = (each for each in conditions if each["type"] == "Published")
    return found["status"], found["reason"], found["message"]


def await_published(site: Site) -> None:
    """Every entity says so."""

    def all_say_so() -> bool:
        return all(
            site.condition(body["kind"], body["metadata"]["name"], "Published")
            == ("True", "Acknowledged")
            for body in site.list()
        )

    until(all_say_so, "all are published")


def assert_all_ready(site: Site) -> None:
    for body in site.list():
        name = body["metadata"]["name"]
        assert site.condition(body["kind"], name) == ("True", "Recorded"), name


def outlast(
    site: Site, platform: PlatformSite, dead: str, alive: str, broker: Mosquitto | BrokerProcess
) -> None:
    """``broker``, named ``dead``, dies, changes are made, it comes back."""
    broker.kill()
    for name in CHANGED:
        site.change("Application", name, description=f"Changed while {dead} was dead.")
    for name in CHANGED:
        site.await_ready("Application", name)
    await_told(platform, dead, DEAD)
    await_told(platform, alive, ALIVE)
    for name in CHANGED:
        pending = ("False", "Pending", f"Waiting for {dead}")
        until(partial(_is_told, site, name, pending), f"{name} waits for {dead} alone")
    assert_all_ready(site)
    assert told(platform, dead) == DEAD
    assert told(platform, alive) == ALIVE

    broker.start()
    await_told(platform, dead, ALIVE, seconds=BACK)
    await_published(site)
    for name in CHANGED:
        assert published(site, name)[2] == "Acknowledged by mosquitto, solace"
    assert_all_ready(site)


def _is_told(site: Site, name: str, what: tuple[str, str, str]) -> bool:
    return published(site, name) == what


def test_each_broker_dies_and_comes_back_beside_the_landscape(
    operator: Operator,
    platform: PlatformSite,
    mosquitto: Mosquitto,
    solace: BrokerProcess,
    subscriber: Subscriber,
) -> None:
    site = Site(platform.client, platform.namespace)
    declare(platform, mosquitto, solace)
    site.create_all(landscape())
    site.await_current()
    await_published(site)
    await_told(platform, "mosquitto", ALIVE)
    await_told(platform, "solace", ALIVE)

    outlast(site, platform, "solace", "mosquitto", solace)
    outlast(site, platform, "mosquitto", "solace", mosquitto)

    events = 31 + 2 * len(CHANGED)
    until(lambda: subscriber.distinct == events, "mosquitto delivered everything")
    assert len({event_id for _, _, event_id in arrivals(solace.stored())}) == events
    assert operator.metric("eatool_reconcile_total", result="error") == 0
