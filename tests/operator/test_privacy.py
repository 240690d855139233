"""What users write into a spec never reaches a log, however talkative it is."""

from __future__ import annotations

import pytest
from tests.operator.operators import Operator, until
from tests.operator.site import Site

MARK = "zqx7"


@pytest.fixture(scope="module", params=["info", "debug"])
def settings(request: pytest.FixtureRequest) -> dict[str, object]:
    return {"log_level": request.param}


def test_no_value_of_a_spec_is_logged(operator: Operator, site: Site) -> None:
    """Accepted, waiting, refused by a rule, edited, deleted: with a mark in every free text."""
    site.create(
        "Organization",
        "org",
        {
            "name": f"Name {MARK}",
            "domains": [f"{MARK}.example"],
            "contacts": [f"{MARK}@example.org"],
        },
    )
    application = {
        "name": f"App {MARK}",
        "description": f"Text {MARK}",
        "owner": f"owner {MARK}",
        "lifecycle": "active",
        "dataClassification": "internal",
        "tags": [f"tag-{MARK}"],
    }
    site.create("Application", "app", application)
    site.await_ready("Application", "app")
    site.create("Application", "duplicate", application)
    site.await_reason("Application", "duplicate", "AlreadyExists")
    site.create(
        "Application", "waiting", {**application, "name": f"B {MARK}", "capabilityId": "absent"}
    )
    site.await_reason("Application", "waiting", "ReferenceNotFound")
    server = {
        "hostname": f"{MARK}.example",
        "environment": "prod",
        "criticality": "low",
        "region": f"region {MARK}",
        "platform": f"platform {MARK}",
        "owningTeam": f"team {MARK}",
        "tags": [f"tag-{MARK}"],
    }
    site.create("Server", "server", server)
    site.await_ready("Server", "server")
    site.change("Server", "server", hostname=f"{MARK}.example.org")
    site.await_ready("Server", "server")
    site.patch(
        "Server", "server", {"status": {"warnings": [f"forged {MARK}"]}}, subresource="status"
    )
    for kind, name in (("Server", "server"), ("Application", "duplicate"), ("Application", "app")):
        site.delete(kind, name)
        site.await_gone(kind, name)
    until(lambda: "ServerDeleted.v1" in operator.log(), "the deletion is logged")
    assert MARK not in operator.log()
    recorded = [line for line in operator.records() if line["message"] == "recorded"]
    assert len(recorded) == 6
    assert all(
        {"object", "events", "version", "correlation_id"} <= line.keys() for line in recorded
    )
    site.delete_all()  # for the next level
    site.await_empty()
    assert MARK not in operator.log()
