"""A step that a real Prometheus decides, on series of the operator itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.operator.operators import Operator, until
from tests.operator.rollout_site import RolloutSite, under_rollout
from tests.operator.site import SERVER, Site
from tests.plugins.prometheus import PrometheusFactory

from eatool.dev.ports import free_port

_RECORDED = 'sum(eatool_events_appended_total{entity="server"})'


@pytest.fixture(scope="module")
def settings(site: Site, directory: Path) -> dict[str, Any]:
    return under_rollout(site, directory, "Server")


def test_missing_data_and_a_bad_figure_hold_a_good_one_promotes(
    operator: Operator, site: Site, rollouts: RolloutSite, make_prometheus: PrometheusFactory
) -> None:
    url = make_prometheus(operator.http_port)
    nobody = f"http://127.0.0.1:{free_port(None)}"
    asked = {"transitions": steps(_RECORDED), "prometheus": {"url": nobody}}
    rollouts.declare("Server", "ProjectionOnly", **asked)
    status = rollouts.await_status("Server", phase="DualWrite", state="Blocked")
    assert status["message"] == "waiting for criteria: recorded (Inconclusive)"
    assert "ConnectError" in status["criteria"][0]["message"], "no Prometheus"

    rollouts.change("Server", transitions=steps("sum(no_such_series)"), prometheus={"url": url})
    until(
        lambda: rollouts.status("Server")["criteria"][0].get("message") == "no data",
        lambda: str(rollouts.status("Server")["criteria"]),
    )
    status = rollouts.status("Server")
    assert status["message"] == "waiting for criteria: recorded (Inconclusive)"
    assert rollouts.condition("Server", "CriteriaMet")["status"] == "False"

    rollouts.change("Server", transitions=steps(_RECORDED))
    until(
        lambda: rollouts.status("Server")["criteria"][0]["result"] == "Fail",
        lambda: str(rollouts.status("Server")["criteria"]),
    )
    site.create("Server", "first", SERVER)
    site.await_ready("Server", "first")
    status = rollouts.status("Server")
    assert (status["phase"], status["state"]) == ("DualWrite", "Blocked")
    site.create("Server", "second", {**SERVER, "hostname": "db-2.example"})
    status = rollouts.await_status("Server", phase="ProjectionOnly", state="Complete")
    assert status["history"][0]["evidence"] == [
        {"name": "recorded", "result": "Pass", "value": "2"},
    ]


def steps(promql: str) -> list[dict[str, Any]]:
    """Of the second, ``promql`` decides."""
    decided = {"name": "recorded", "metric": "PromQL", "op": ">=", "threshold": "2"}
    return [
        {"to": "DualWrite", "criteria": [], "autoPromote": True},
        {
            "to": "ProjectionOnly",
            "criteria": [{**decided, "promQL": promql}],
            "soakTime": "0s",
            "autoPromote": True,
        },
    ]
