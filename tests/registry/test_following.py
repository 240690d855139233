"""What is shown of one entity follows another one: the outcome says so, and a change wakes it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.registry.sites import APPLICATION, SERVER, change, ref, site

from eatool.domain.identity import EntityRef
from eatool.registry.outcome import Outcome, Recorded, Refused, Unchanged
from eatool.registry.service import Registry

DATA = {"name": "Customer", "classification": "internal", "criticality": "high"}
READS = {
    "sourceType": "application",
    "sourceId": "webshop",
    "targetType": "data_entity",
    "targetId": "customer",
    "relationType": "reads",
}
RELATION = ref("Relation", "r")


async def apply(registry: Registry, kind: str, name: str, spec: dict[str, Any]) -> Outcome:
    outcome = await registry.apply(change(kind, name, spec))
    assert isinstance(outcome, Recorded | Unchanged), outcome
    return outcome


async def populate(registry: Registry) -> list[set[EntityRef]]:
    """A relation that reads internal data; returns who will be woken."""
    await apply(registry, "Application", "webshop", APPLICATION)
    await apply(registry, "DataEntity", "customer", DATA)
    await apply(registry, "Relation", "r", READS)
    woken: list[set[EntityRef]] = []
    registry.arrivals.on_wake(lambda refs: woken.append(set(refs)))
    return woken


def shown(outcome: Outcome) -> str:
    assert isinstance(outcome, Recorded | Unchanged | Refused)
    assert outcome.effective is not None
    return str(outcome.effective.model_dump()["data_classification"])


async def test_a_relation_is_woken_by_the_classification_of_its_ends_only(
    any_url: str | None,
) -> None:
    async with site(any_url) as (registry, log):
        woken = await populate(registry)
        assert shown(await apply(registry, "Relation", "r", READS)) == "internal"
        await apply(registry, "DataEntity", "customer", {**DATA, "owner": "crm-team"})
        assert woken == []

        restricted = {**DATA, "owner": "crm-team", "classification": "restricted"}
        await apply(registry, "DataEntity", "customer", restricted)
        assert woken == [{RELATION}]
        position = log.head().position
        assert shown(await apply(registry, "Relation", "r", READS)) == "restricted"
        assert log.head().position == position, "it is shown, not recorded"

        # It follows again, the other end too.
        await apply(
            registry, "Application", "webshop", {**APPLICATION, "dataClassification": "public"}
        )
        assert woken == [{RELATION}, {RELATION}]
        assert shown(await apply(registry, "Relation", "r", READS)) == "restricted"


async def test_who_says_it_himself_is_left_alone(any_url: str | None) -> None:
    async with site(any_url) as (registry, _):
        woken = await populate(registry)
        own = {**READS, "dataClassification": "confidential"}
        assert shown(await apply(registry, "Relation", "r", own)) == "confidential"
        await apply(registry, "DataEntity", "customer", {**DATA, "classification": "restricted"})
        assert woken == []


async def test_a_refused_edit_shows_what_follows_from_the_accepted_state(
    any_url: str | None,
) -> None:
    async with site(any_url) as (registry, _):
        await populate(registry)
        refused = await registry.apply(change("Relation", "r", {**READS, "confidence": 7}))
        assert isinstance(refused, Refused)
        assert shown(refused) == "internal"


async def test_a_deleted_relation_follows_nobody(any_url: str | None) -> None:
    async with site(any_url) as (registry, _):
        woken = await populate(registry)
        await registry.delete(change("Relation", "r"))
        await apply(registry, "DataEntity", "customer", {**DATA, "classification": "restricted"})
        assert woken == []


async def test_the_second_server_of_a_host_is_woken_when_the_first_one_goes(
    any_url: str | None,
) -> None:
    async with site(any_url) as (registry, _):
        woken: list[set[EntityRef]] = []
        registry.arrivals.on_wake(lambda refs: woken.append(set(refs)))
        first = await apply(registry, "Server", "one", SERVER)
        assert woken == []
        second = await apply(registry, "Server", "two", SERVER)
        assert woken.pop() == {ref("Server", "one")}, "both are told"
        assert isinstance(first, Recorded)
        assert isinstance(second, Recorded)
        assert (len(first.warnings), len(second.warnings)) == (0, 1)
        await apply(registry, "Server", "one", {**SERVER, "region": "north"})
        assert woken == []
        await registry.delete(change("Server", "one"))
        assert woken == [{ref("Server", "two")}]
        healed = await apply(registry, "Server", "two", SERVER)
        assert isinstance(healed, Unchanged)
        assert healed.warnings == ()


async def test_an_active_interface_is_woken_when_its_application_retires(
    any_url: str | None,
) -> None:
    async with site(any_url) as (registry, _):
        woken = await populate(registry)
        spec = {"name": "API", "protocol": "https", "endpoint": "shop.example", "status": "active"}
        spec["exposedByAppId"] = "webshop"
        await apply(registry, "ApplicationInterface", "api", spec)
        await apply(registry, "Application", "webshop", {**APPLICATION, "lifecycle": "retired"})
        assert woken == [{ref("ApplicationInterface", "api")}]
        told = await apply(registry, "ApplicationInterface", "api", spec)
        assert isinstance(told, Unchanged)
        assert "is retired" in told.warnings[0].message


async def test_of_servers_of_one_host_recorded_at_once_somebody_is_told(
    any_url: str | None,
) -> None:
    async with site(any_url) as (registry, _):
        wanted = [change("Server", f"s{index}", SERVER) for index in range(8)]
        outcomes = await asyncio.gather(*map(registry.apply, wanted))
        told = [each for each in outcomes if isinstance(each, Recorded) and each.warnings]
        assert len(told) >= 7, "all but, perhaps, the first"
        for each in told:
            assert {fact.field for fact in each.depends_on} == {"hostname", "environment"}
