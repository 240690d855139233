"""Two operators at once, as during a rolling update: one log, no change twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.operator.operators import Operator, running, until
from tests.operator.site import SERVER, Log, Site, assert_log_is_what_is_declared

from eatool.dev.faultproxy import FaultProxy
from eatool.dev.faults import Delay


@pytest.mark.parametrize("lagging", [False, True], ids=["equal", "one lags"])
def test_two_operators_record_every_change_once(
    proxy: FaultProxy, directory: Path, site: Site, operator: Operator, log: Log, *, lagging: bool
) -> None:
    peer = Operator(
        proxy.kubeconfig,
        directory,
        f"peer-{lagging}",
        namespaces=site.namespace,
        store_url=operator.store_url,
    )
    dice = random.Random(3)
    prefix = "lag" if lagging else "eq"
    with running(peer):
        rule = proxy.inject(Delay(0.2), method="PATCH", path="/servers/") if lagging else None
        for number in range(12):
            site.create("Server", f"{prefix}-{number}", SERVER)
        for step in range(60):
            name = f"{prefix}-{dice.randrange(12)}"
            site.change("Server", name, region=f"r{step % 3}")
        for number in range(4):
            site.delete("Server", f"{prefix}-{number}")
        for number in range(4):
            site.await_gone("Server", f"{prefix}-{number}")
        site.await_current()
        if rule is not None:
            proxy.lift(rule)
        assert_log_is_what_is_declared(site, log)
        until(peer.ready, "the peer is ready")
    site.create("Server", f"{prefix}-after", SERVER)
    site.await_ready("Server", f"{prefix}-after")
