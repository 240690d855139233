"""An operator for each module, and a namespace that only it watches."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from tests.crds.conftest import crds, platform_crds
from tests.operator.operators import Operator, running
from tests.operator.platform_site import PlatformSite
from tests.operator.rollout_site import RolloutSite
from tests.operator.site import Log, Site
from tests.plugins.mosquitto import BrokerFactory, Mosquitto
from tests.publishing.subscriber import Subscriber

from eatool.dev.apiclient import ApiClient
from eatool.dev.controlplane import ControlPlane
from eatool.dev.faultproxy import FaultProxy

__all__ = ["crds", "platform_crds"]

#: Makes a subscriber of a broker.
Subscribe = Callable[[Mosquitto], Subscriber]


def new_site(admin: ApiClient) -> Site:
    """A namespace of its own. What is left in it stays: no operator of another test watches it."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return Site(admin, name)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operator")


@pytest.fixture(scope="module")
def site(crds: None, admin: ApiClient) -> Site:
    return new_site(admin)


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    """What a module wants its operator to run with."""
    return {}


@pytest.fixture(scope="module")
def proxy(control_plane: ControlPlane, directory: Path) -> Iterator[FaultProxy]:
    with FaultProxy(control_plane, directory / "proxy") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def operator(
    platform_crds: None, proxy: FaultProxy, directory: Path, site: Site, settings: dict[str, object]
) -> Iterator[Operator]:
    """A running operator behind the fault proxy."""
    options: dict[str, Any] = {"namespaces": site.namespace, **settings}
    with running(Operator(proxy.kubeconfig, directory, **options)) as operator:
        yield operator


@pytest.fixture
def broker(make_mosquitto: BrokerFactory) -> Mosquitto:
    """A broker that takes everything, started and not declared yet."""
    broker = make_mosquitto()
    broker.start()
    return broker


@pytest.fixture
def subscribe() -> Iterator[Subscribe]:
    """Subscribers that keep all that a broker passes on, and are closed afterwards."""
    with ExitStack() as made:
        yield lambda broker: made.enter_context(closing(Subscriber(broker.port, "#")))


@pytest.fixture
def subscriber(broker: Mosquitto, subscribe: Subscribe) -> Subscriber:
    """The one of ``broker``."""
    return subscribe(broker)


@pytest.fixture(scope="module")
def log(operator: Operator) -> Iterator[Log]:
    log = Log(operator.store_url)
    yield log
    log.close()


@pytest.fixture(scope="module")
def platform(
    platform_crds: None, admin: ApiClient, site: Site, kubectl: Path, control_plane: ControlPlane
) -> PlatformSite:
    """The platform's objects of the namespace that the operator calls its own."""
    return PlatformSite(admin, site.namespace, kubectl, control_plane.kubeconfig)


@pytest.fixture
def rollouts(
    platform_crds: None, admin: ApiClient, kubectl: Path, control_plane: ControlPlane
) -> Iterator[RolloutSite]:
    """The rollouts of the cluster; none are left behind."""
    rollouts = RolloutSite(admin, kubectl, control_plane.kubeconfig)
    yield rollouts
    rollouts.clear()
