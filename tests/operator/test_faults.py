"""A treacherous way to the API server: nothing is lost, nothing is written twice, it is told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from tests.operator.operators import Operator, until
from tests.operator.site import SERVER, Log, Site, assert_log_is_what_is_declared

from eatool.dev.faultproxy import FaultProxy
from eatool.dev.faults import Answer, Cut, Delay, Drop, Fault, Silence, WatchError


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    return {"resync_interval": 5}


@pytest.fixture(autouse=True)
def healthy_again(proxy: FaultProxy, site: Site) -> Iterator[None]:
    yield
    proxy.lift()


@pytest.mark.parametrize("fault", [Cut(), WatchError(410)], ids=["cut", "expired"])
def test_a_broken_watch_is_resumed(
    operator: Operator, proxy: FaultProxy, site: Site, log: Log, fault: Cut | WatchError
) -> None:
    name = f"after-{type(fault).__name__.lower()}"
    assert proxy.disturb_watches(fault) > 0
    site.create("Server", name, SERVER)
    site.await_ready("Server", name)
    site.change("Server", name, region="north")
    site.await_ready("Server", name)
    assert len(log.of(site.ref("Server", name))) == 2
    assert operator.alive


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    ("fault", "path"),
    [
        (Answer(409), r"/servers/[^/]+$"),
        (Answer(409), "/status$"),
        (Answer(500), r"/servers/[^/]+$"),
        (Answer(500), "/status$"),
        (Answer(429, retry_after=1), "/servers/"),
        (Drop(), "/servers/"),
        (Drop(processed=True), "/servers/"),
        (Delay(0.5), "/servers/"),
    ],
    ids=lambda value: str(value).split("(", maxsplit=1)[0] if isinstance(value, Fault) else None,
)
def test_failing_writes_are_repeated(
    proxy: FaultProxy, site: Site, log: Log, fault: Fault, path: str
) -> None:
    name = f"s-{uuid.uuid4().hex[:8]}"
    proxy.inject(fault, method="PATCH", path=path, times=3)
    site.create("Server", name, SERVER)
    site.await_ready("Server", name)
    site.change("Server", name, region="north")
    site.await_ready("Server", name)
    site.delete("Server", name)
    site.await_gone("Server", name)
    assert log.types(site.ref("Server", name)) == [
        "ServerCreated.v1",
        "ServerUpdated.v1",
        "ServerDeleted.v1",
    ]


def test_a_deaf_watch_is_found_out_and_told(
    operator: Operator, proxy: FaultProxy, site: Site, log: Log
) -> None:
    site.create("Server", "unheard", SERVER)
    site.create("Server", "forced", SERVER)
    site.await_ready("Server", "unheard")
    site.await_ready("Server", "forced")
    until(operator.ready, "nothing is wrong")
    before = operator.metric("eatool_watch_missed_total", entity="server")
    assert proxy.disturb_watches(Silence(), path="servers") > 0
    site.change("Server", "unheard", region="north")
    site.patch("Server", "forced", {"metadata": {"finalizers": None}})
    site.delete("Server", "forced")
    site.await_ready("Server", "unheard", seconds=60)
    until(lambda: not operator.ready(), "the readiness probe fails")
    assert "watches deliver nothing for server" in operator.get("/readyz")[1]
    assert operator.metric("eatool_watch_missed_total", entity="server") >= before + 2
    assert log.types(site.ref("Server", "forced")) == ["ServerCreated.v1", "ServerDeleted.v1"]
    proxy.disturb_watches(Cut(), path="servers")
    until(operator.ready, "the watch is back and so is readiness", seconds=60)


def test_the_log_is_what_is_declared_at_the_end(site: Site, log: Log) -> None:
    site.await_current()
    assert_log_is_what_is_declared(site, log)
