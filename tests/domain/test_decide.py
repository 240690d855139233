"""Decisions: what is accepted with which events, what waits, what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest
from tests.crds.cases import LANDSCAPE
from tests.domain.world import World, ref, said, types

from eatool.domain.decision import Accepted, Rejected
from eatool.domain.kinds import KINDS, by_kind
from eatool.domain.landscape import Fact, Pending, SharedHold
from eatool.domain.parsing import parse

app, edge = World.application, World.relation


def test_sample_landscape_is_accepted_in_order_and_again_without_events(world: World) -> None:
    manifests = [
        (manifest["kind"], manifest["metadata"]["name"], manifest["spec"]) for manifest in LANDSCAPE
    ]
    for kind, name, spec in manifests:
        created = by_kind(kind).kind + "Created.v1"
        assert types(world.apply(kind, name, spec)) == [created]
    for kind, name, spec in manifests:
        assert types(world.apply(kind, name, spec)) == []
    assert {kind for kind, _, _ in manifests} == {kind.kind for kind in KINDS.values()}
    for kind, name, _ in reversed(manifests):
        assert types(world.delete(kind, name)) == [f"{kind}Deleted.v1"]


def test_each_marked_field_makes_its_own_event(populated: World) -> None:
    accepted = populated.apply(
        "Application",
        "shop",
        app("Shop 2", owner="b", lifecycle="deprecated", sunsetDate="2027-01-01"),
    )
    assert types(accepted) == [
        "ApplicationLifecycleChanged.v1",
        "ApplicationOwnerChanged.v1",
        "ApplicationUpdated.v1",
    ]
    assert [list(event.changes) for event in accepted.events] == [
        ["lifecycle"],
        ["owner"],
        ["name", "sunset_date", "capability_id"],
    ]
    assert populated.state("Application", "shop").version == 4
    back = populated.apply("Application", "shop", app("Shop 2", owner="b"))
    assert types(back) == ["ApplicationUpdated.v1", "ApplicationLifecycleChanged.v1"]


def test_reordered_and_repeated_items_are_no_change(populated: World) -> None:
    spec = app("Shop", capabilityId="sell", tags=["b", "a"])
    populated.apply("Application", "shop", spec)
    same = spec | {
        "tags": ["a", "b", "a"],
        "name": " Shop\n",
        "description": "",
        "criticality": None,
    }
    assert types(populated.apply("Application", "shop", same)) == []


def test_name_can_be_used_again_after_deletion(populated: World) -> None:
    populated.delete("Server", "db")
    spec = {"hostname": "db2", "environment": "dev", "criticality": "low"}
    assert types(populated.apply("Server", "db", spec)) == ["ServerCreated.v1"]
    assert populated.state("Server", "db").version == 3
    assert types(populated.delete("Server", "never-recorded")) == []


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        (
            "Application",
            app("New", capabilityId="nowhere"),
            (
                "REFERENCE_NOT_FOUND spec.capabilityId: names BusinessCapability/nowhere, "
                "which is not recorded in namespace default"
            ),
        ),
        (
            "ApplicationService",
            {"name": "New", "exposedByAppIds": ["shop", "later"]},
            (
                "REFERENCE_NOT_FOUND spec.exposedByAppIds[0]: names Application/later, "
                "which is not recorded in namespace default"
            ),
        ),
        (
            "Relation",
            edge("application/shop", "deployed_on", "server/later"),
            (
                "REFERENCE_NOT_FOUND spec.targetId: names Server/later, "
                "which is not recorded in namespace default"
            ),
        ),
    ],
)
def test_hard_references_are_waited_for(
    populated: World, kind: str, spec: dict[str, Any], message: str
) -> None:
    assert populated.waits(kind, "new", spec) == [message]


def test_terminating_target_cannot_be_newly_referenced(populated: World) -> None:
    pending = Pending(terminating=frozenset({ref("BusinessCapability", "sell")}))
    assert populated.waits(
        "Application", "new", app("New", capabilityId="sell"), pending=pending
    ) == [
        (
            "REFERENCE_TERMINATING spec.capabilityId: names BusinessCapability/sell, "
            "which is being deleted"
        )
    ]
    edit = populated.decide(
        "Application", "shop", app("Shop", capabilityId="sell", owner="b"), pending=pending
    )
    assert isinstance(edit, Accepted)
    assert not edit.constraints.requires_alive


def test_soft_references_only_warn_but_block_deletion(populated: World) -> None:
    lineage = {"name": "Mart", "classification": "internal", "criticality": "low"}
    accepted = populated.apply("DataEntity", "mart", lineage | {"lineage": ["customer", "later"]})
    assert [str(warning) for warning in accepted.warnings] == [
        "spec.lineage[1]: names DataEntity/later, which is not recorded in namespace default"
    ]
    blocked = populated.decide_deletion("DataEntity", "customer")
    assert isinstance(blocked, Rejected)
    assert blocked.blocked_by == {ref("DataEntity", "mart")}


def test_teams_are_no_references(populated: World) -> None:
    spec = {"name": "S", "exposedByAppIds": ["shop"], "consumers": ["team:Sales", "erp"]}
    accepted = populated.apply("ApplicationService", "s", spec)
    assert accepted.warnings == ()
    assert {target.name for _, target, _ in accepted.constraints.references} == {"shop", "erp"}


CALLS = edge("application/shop", "calls", "application/erp")
IN_2020 = {"effectiveFrom": "2020-01-01T00:00:00Z", "effectiveTo": "2021-01-01T00:00:00Z"}


def test_windows_apart_are_accepted(populated: World) -> None:
    populated.apply("Relation", "r", CALLS | IN_2020)
    later = {"effectiveFrom": "2021-01-01T00:00:00.000001Z"}
    accepted = populated.apply("Relation", "s", CALLS | later)
    key = "relation/default/edge:application/shop/calls/application/erp"
    beside = frozenset({(ref("Relation", "r"), 1)})
    assert accepted.constraints.shared == {SharedHold(key, beside)}
    rescheduled = populated.apply("Relation", "r", CALLS | {"effectiveTo": "2020-06-01T00:00:00Z"})
    assert types(rescheduled) == ["RelationRescheduled.v1"]
    assert set(rescheduled.events[0].changes) == {"effective_from", "effective_to"}


def test_two_new_organizations_that_name_each_other_are_a_loop(world: World) -> None:
    one, other = ref("Organization", "one"), ref("Organization", "other")
    pending = Pending(parents={one: other, other: one})
    decision = world.decide(
        "Organization", "one", {"name": "1", "parentId": "other"}, pending=pending
    )
    assert isinstance(decision, Rejected)
    assert said(decision.errors)[0] == (
        "CIRCULAR_REFERENCE spec.parentId: must not close a loop: one -> other -> one"
    )
    assert decision.blocked_by == {other}


def test_event_too_large_to_be_recorded(populated: World) -> None:
    terms = [f"{index:03}" + "ü" * 97 for index in range(200)]
    spec = {"name": "Big", "classification": "public", "criticality": "low", "glossaryTerms": terms}
    assert "TOO_LARGE spec: makes an event of" in populated.refused("DataEntity", "big", spec)[0]


def test_deletion_names_some_referrers_and_counts_the_rest(populated: World) -> None:
    for index in range(12):
        populated.apply("Organization", f"o-{index:02}", {"name": f"O{index}", "parentId": "acme"})
    decision = populated.decide_deletion("Organization", "acme")
    assert isinstance(decision, Rejected)
    named = ", ".join(f"Organization/o-{index:02}" for index in range(10))
    (complaint,) = said(decision.errors)
    assert complaint == (
        f"DELETE_BLOCKED metadata.name: is still named by {named} and 2 more; "
        "delete these too, in any order"
    )
    terminating = frozenset(ref("Organization", f"o-{index:02}") for index in range(12))
    accepted = populated.decide_deletion("Organization", "acme", terminating=terminating)
    assert isinstance(accepted, Accepted)
    assert accepted.constraints.no_referrers
    assert accepted.constraints.ignoring == terminating


WARNED = [
    ("ApplicationService", {"name": "S"}, "spec.exposedByAppIds: should name at least one"),
    (
        "DataEntity",
        {"name": "D", "classification": "internal", "criticality": "low", "piiFlag": True},
        "spec.classification: should be confidential or restricted while piiFlag is true",
    ),
    (
        "Relation",
        edge("application/shop", "communicates_with", "application/erp"),
        "spec.bidirectional: should be true for communicates_with",
    ),
    (
        "Relation",
        edge("application/shop", "calls", "application/erp", archimateElement="Node"),
        "spec.archimateElement: should be ApplicationComponent for application",
    ),
    (
        "Relation",
        edge("organization/acme", "part_of", "organization/other"),
        "spec.targetId: should be the parentId of the source",
    ),
    (
        "ApplicationInterface",
        {
            "name": "I",
            "protocol": "http",
            "endpoint": "shop:80",
            "exposedByAppId": "shop",
            "status": "active",
            "specificationUrl": "http://shop.example/openapi.json",
        },
        "spec.specificationUrl: should use https",
    ),
    (
        "ApplicationInterface",
        {
            "name": "I",
            "protocol": "http",
            "endpoint": "old:80",
            "exposedByAppId": "old",
            "status": "active",
        },
        "spec.status: should not be active: Application/old, which exposes it, is retired",
    ),
]


@pytest.mark.parametrize(("kind", "spec", "warning"), WARNED)
def test_warned_but_accepted(
    populated: World, kind: str, spec: dict[str, Any], warning: str
) -> None:
    populated.apply("Organization", "other", {"name": "Other"})
    populated.apply("Application", "old", app("Old", lifecycle="retired"))
    accepted = populated.apply(kind, "new", spec)
    assert [str(found)[: len(warning)] for found in accepted.warnings] == [warning]
    again = populated.apply(kind, "new", spec)
    assert (again.events, again.warnings) == ((), accepted.warnings)


def test_deletion_says_when_it_stopped_counting(populated: World) -> None:
    for index in range(120):
        populated.apply("Organization", f"o-{index}", {"name": f"O{index}", "parentId": "acme"})
    decision = populated.decide_deletion("Organization", "acme")
    assert isinstance(decision, Rejected)
    assert " and at least 90 more; " in decision.errors[0].message


def test_keys_belong_to_a_namespace_and_slashes_do_not_merge_them() -> None:
    kind = by_kind("DataEntity")
    base = {"classification": "public", "criticality": "low"}
    keys = {
        key
        for names in ({"domain": "a/b", "name": "c"}, {"domain": "a", "name": "b/c"})
        for key in kind.unique_keys(parse(kind, base | names))
    }
    assert len(keys) == 2


SERVER = {"hostname": "db.example", "environment": "prod", "criticality": "high"}


def test_a_second_server_of_the_same_host_is_warned_of_not_refused(populated: World) -> None:
    first = populated.apply("Server", "one", SERVER)
    assert (first.warnings, first.depends_on) == ((), frozenset())
    second = populated.apply("Server", "two", SERVER | {"hostname": "DB.example."})
    (advice,) = said(second.warnings)
    assert advice == (
        "ALREADY_EXISTS spec.hostname: should be unique among the servers of one environment; "
        "Server/one has it already"
    )
    one = ref("Server", "one")
    assert second.depends_on == {Fact(one, "hostname"), Fact(one, "environment")}
    assert second.constraints.shared == {SharedHold("server/default/host:prod/db.example")}
    # The first learns of it too, and both forget it when one of them moves.
    assert len(populated.apply("Server", "one", SERVER).warnings) == 1
    populated.apply("Server", "two", SERVER | {"environment": "dev"})
    assert populated.apply("Server", "one", SERVER).warnings == ()
    assert populated.apply("Server", "three", SERVER | {"environment": "staging"}).warnings == ()


def test_an_active_interface_depends_on_the_lifecycle_of_its_application(
    populated: World,
) -> None:
    spec = {"name": "I", "protocol": "https", "endpoint": "x", "exposedByAppId": "shop"}
    active = populated.apply("ApplicationInterface", "i", spec | {"status": "active"})
    assert active.depends_on == {Fact(ref("Application", "shop"), "lifecycle")}
    retired = populated.apply("ApplicationInterface", "i", spec | {"status": "retired"})
    assert retired.depends_on == frozenset()
