"""Time passes: what it changes shows in the status, without an edit and without an event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.operator.operators import Operator, until
from tests.operator.site import APPLICATION, Log, Site


def from_now(**distance: float) -> str:
    moment = datetime.now(UTC) + timedelta(**distance)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_window_opens_and_closes_by_itself(operator: Operator, site: Site, log: Log) -> None:
    for name in ("shop", "erp"):
        site.create("Application", name, APPLICATION | {"name": name})
    edge = {
        "sourceType": "application",
        "sourceId": "shop",
        "relationType": "calls",
        "targetType": "application",
        "targetId": "erp",
    }
    windows = {
        "ending": {"effectiveFrom": from_now(days=-2), "effectiveTo": from_now(seconds=20)},
        "beginning": {"effectiveFrom": from_now(seconds=30)},
    }
    for name, window in windows.items():
        site.create("Relation", name, edge | window)
    ready = {name: site.await_ready("Relation", name) for name in windows}
    assert site.condition("Relation", "beginning", "InForce") == ("False", "NotYet")
    until(
        lambda: site.condition("Relation", "ending", "InForce") == ("False", "Over"),
        "the window closes",
    )
    until(
        lambda: site.condition("Relation", "beginning", "InForce") == ("True", "WithinWindow"),
        "the window opens",
    )
    for name, before in ready.items():
        after = site.get("Relation", name)
        assert after["metadata"]["generation"] == before["metadata"]["generation"]
        assert site.condition("Relation", name) == ("True", "Recorded")
        assert log.types(site.ref("Relation", name)) == ["RelationCreated.v1"]


def test_an_old_proof_is_warned_of_until_somebody_verifies(operator: Operator, site: Site) -> None:
    site.create("Server", "db", {"hostname": "db", "environment": "dev", "criticality": "low"})
    site.create("Application", "crm", APPLICATION | {"name": "crm"})
    spec = {
        "sourceType": "application",
        "sourceId": "crm",
        "relationType": "deployed_on",
        "targetType": "server",
        "targetId": "db",
        "lastVerifiedAt": from_now(days=-400),
    }
    site.create("Relation", "old", spec)
    status = site.await_ready("Relation", "old")["status"]
    assert [text.split(":")[0] for text in status["warnings"]] == ["spec.lastVerifiedAt"]
    assert site.condition("Relation", "old", "InForce") is None, "it has no window"
    site.change("Relation", "old", lastVerifiedAt=from_now(days=-1))
    assert "warnings" not in site.await_ready("Relation", "old")["status"]
