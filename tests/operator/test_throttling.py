"""An API server that says when to come back is believed."""

from __future__ import annotations

import time

from tests.operator.operators import Operator, until
from tests.operator.site import SERVER, Site

from eatool.dev.faultproxy import FaultProxy
from eatool.dev.faults import Answer


def test_retry_after_is_honoured(operator: Operator, proxy: FaultProxy, site: Site) -> None:
    site.create("Server", "throttled", SERVER)
    site.await_ready("Server", "throttled")
    rule = proxy.inject(Answer(429, retry_after=3), method="PATCH", path="/throttled/status")
    site.change("Server", "throttled", region="north")
    until(lambda: rule.hits == 1, "it was refused")
    time.sleep(2)
    assert rule.hits == 1
    proxy.lift(rule)
    site.await_ready("Server", "throttled")
