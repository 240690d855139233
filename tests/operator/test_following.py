"""What a status shows of other objects, as they change; nothing is recorded for it."""

from __future__ import annotations

from typing import Any

from tests.operator.operators import Operator, until
from tests.operator.site import APPLICATION, SERVER, Log, Site, assert_log_is_what_is_declared

READS = {
    "sourceType": "application",
    "sourceId": "shop",
    "targetType": "data_entity",
    "targetId": "customer",
    "relationType": "reads",
}


def effective(site: Site, name: str) -> dict[str, Any]:
    found: dict[str, Any] = site.get("Relation", name)["status"].get("effective", {})
    return found


def test_a_relation_is_as_sensitive_as_its_ends_are_by_now(
    operator: Operator, site: Site, log: Log
) -> None:
    # In an order in which the relation waits first.
    site.create("Relation", "inherits", READS)
    own = {**READS, "relationType": "writes", "dataClassification": "public"}
    site.create("Relation", "own", own)
    site.await_reason("Relation", "inherits", "ReferenceNotFound")
    site.create("Application", "shop", APPLICATION)
    data = {"name": "Customer", "classification": "public", "criticality": "high"}
    site.create("DataEntity", "customer", data)
    site.await_ready("Relation", "inherits")
    site.await_ready("Relation", "own")
    assert effective(site, "inherits")["dataClassification"] == "internal"
    assert "dataClassification" not in effective(site, "own")

    before = {name: site.get("Relation", name) for name in ("inherits", "own")}
    site.change("DataEntity", "customer", classification="restricted")
    until(
        lambda: effective(site, "inherits")["dataClassification"] == "restricted",
        "the relation follows its target",
        seconds=30,
    )
    site.change("DataEntity", "customer", classification="internal")
    until(
        lambda: effective(site, "inherits")["dataClassification"] == "internal",
        "the relation follows once more",
        seconds=30,
    )
    assert site.get("Relation", "own") == before["own"], "who says it himself is left alone"
    assert site.get("Relation", "inherits")["spec"] == before["inherits"]["spec"]
    assert log.types(site.ref("Relation", "inherits")) == ["RelationCreated.v1"]
    assert_log_is_what_is_declared(site, log)


def test_two_servers_of_one_host_are_warned_until_one_goes(site: Site, log: Log) -> None:
    site.create("Server", "one", SERVER)
    assert "warnings" not in site.await_ready("Server", "one")["status"]
    site.create("Server", "two", SERVER)
    (warning,) = site.await_ready("Server", "two")["status"]["warnings"]
    assert warning.endswith("Server/one has it already")
    until(
        lambda: "warnings" in site.get("Server", "one")["status"],
        "the first one says so too",
        seconds=30,
    )
    site.delete("Server", "one")
    until(
        lambda: "warnings" not in site.get("Server", "two")["status"],
        "the warning is taken back",
        seconds=30,
    )
    assert log.types(site.ref("Server", "two")) == ["ServerCreated.v1"]
