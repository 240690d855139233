"""Restarts: nothing is recorded twice, nothing that happened meanwhile is missed."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from tests.operator.conftest import new_site
from tests.operator.operators import Operator, running, until
from tests.operator.site import SERVER, Log, Site, assert_log_is_what_is_declared

from eatool.dev.apiclient import ApiClient, ApiError
from eatool.dev.faultproxy import FaultProxy

#: On 2 loaded cores the test takes 26 s with 1,000 objects, 72 s with 2,000, 105 s with 3,000; they
#: differ in nothing but the time to create them and to write their statuses.
OBJECTS = 1000
#: Seconds between looks: each costs the operator what it needs to get on.
PAUSE = 0.5


def _writes(proxy: FaultProxy) -> list[tuple[str, str]]:
    return [
        (request.verb, request.template)
        for request in proxy.log.requests()
        if request.verb not in ("get", "list", "watch")
    ]


def test_a_restart_over_a_thousand_unchanged_objects_writes_nothing(
    crds: None, admin: ApiClient, proxy: FaultProxy, directory: Path
) -> None:
    site = new_site(admin)
    operator = Operator(proxy.kubeconfig, directory, "restart", namespaces=site.namespace)
    with running(operator):
        with ThreadPoolExecutor(8) as pool:
            names = [f"s-{number}" for number in range(OBJECTS)]
            specs = [
                {**SERVER, "hostname": f"{name}.example", "tags": ["b", "a"]} for name in names
            ]
            list(
                pool.map(lambda item: site.create("Server", *item), zip(names, specs, strict=True))
            )
        log = Log(operator.store_url)
        until(lambda: log.events == OBJECTS, "all are recorded", seconds=180, pause=PAUSE)
        site.await_current()
        kinds = proxy.log.counts(resource="servers")
        assert kinds["patch", "servers", ""] == OBJECTS
        assert kinds["patch", "servers", "status"] == OBJECTS

    proxy.log.clear()
    with running(operator):
        until(
            lambda: operator.metric("eatool_reconcile_total", entity="server") == OBJECTS,
            "every object was looked at again",
            seconds=180,
            pause=PAUSE,
        )
        assert operator.metric("eatool_reconcile_total", result="unchanged") == OBJECTS
        assert _writes(proxy) == []
        assert log.events == OBJECTS

    site.change("Server", "s-1", region="north")
    site.delete("Server", "s-2")
    site.patch("Server", "s-3", {"metadata": {"labels": {"a": "b"}}})
    site.create("Server", "late", SERVER)
    with running(operator):
        site.await_gone("Server", "s-2")
        site.await_ready("Server", "late")
        site.await_ready("Server", "s-1")
        until(
            lambda: operator.metric("eatool_reconcile_total", entity="server") >= OBJECTS,
            "every object was looked at again",
            seconds=180,
            pause=PAUSE,
        )
        assert log.events == OBJECTS + 3
        assert_log_is_what_is_declared(site, log)
    log.close()


class Burst(threading.Thread):
    """Creates, edits and deletes until it is told to stop."""

    def __init__(self, site: Site, seed: int) -> None:
        super().__init__(daemon=True)
        self.site = site
        self.random = random.Random(seed)
        self.prefix = f"w{seed}"
        self.stopping = threading.Event()
        self.changes = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self.one()
                self.changes += 1
                time.sleep(self.random.uniform(0, 0.02))
        except BaseException as error:
            self.failure = error

    def one(self) -> None:
        name = f"{self.prefix}-{self.random.randrange(15)}"
        region = f"region {self.random.randrange(4)}"
        found = self.site.find("Server", name)
        try:
            if found is None:
                self.site.create("Server", name, {**SERVER, "region": region})
            elif self.random.random() < 0.2:
                self.site.delete("Server", name)
            else:
                self.site.change("Server", name, region=region)
        except ApiError as error:
            if error.status not in (404, 409):  # deleted, or deleted and not gone yet
                raise


def _has(log: Log, events: int) -> bool:
    return log.events >= events


@pytest.mark.parametrize("rounds", [6])
def test_kill_9_at_any_moment_loses_and_repeats_nothing(
    crds: None, admin: ApiClient, proxy: FaultProxy, directory: Path, rounds: int
) -> None:
    site = new_site(admin)
    operator = Operator(
        proxy.kubeconfig,
        directory,
        "killed",
        namespaces=site.namespace,
        store_url=f"sqlite:///{directory / 'killed.db'}",
    )
    pauses = random.Random(11)
    operator.start_and_wait()
    bursts = [Burst(site, seed) for seed in (1, 2)]
    for burst in bursts:
        burst.start()
    log = Log(operator.store_url)
    for _ in range(rounds):
        # In the middle of its work, however long it took to come up.
        enough = log.events + 10
        until(partial(_has, log, enough), "it records")
        time.sleep(pauses.uniform(0.0, 0.7))
        operator.kill()
        operator.start()
        until(lambda: operator.get("/healthz")[0] == 200, "it is up again")
    for burst in bursts:
        burst.stopping.set()
        burst.join()
        assert burst.failure is None
        assert burst.changes > 50
    operator.stop()
    with running(operator):
        until(
            lambda: not [b for b in site.list() if "deletionTimestamp" in b["metadata"]],
            "all deletions are through",
        )
        site.await_current()
        assert_log_is_what_is_declared(site, log)
        log.close()
