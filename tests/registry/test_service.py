"""The registry decides and records, whatever log is below."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.registry.sites import APPLICATION, SERVER, Losing, change, ref, site, types

from eatool.domain.errors import Code
from eatool.registry.opening import open_registry
from eatool.registry.outcome import Recorded, Refused, Unavailable, Unchanged, WaitingFor
from eatool.registry.service import Appender
from eatool.store.port import (
    Append,
    Appended,
    AppendRefused,
    ConditionFailed,
    NewEvent,
    StoreUnavailable,
)
from eatool.store.sql.log import SqlEventStore


async def test_records_creation_change_and_deletion(any_url: str | None) -> None:
    async with site(any_url) as (registry, log):
        created = await registry.apply(change("Application", "webshop", APPLICATION))
        edited = {**APPLICATION, "owner": "other-team", "tags": ["pci"]}
        changed = await registry.apply(change("Application", "webshop", edited))
        deleted = await registry.delete(change("Application", "webshop"))
        again = await registry.apply(change("Application", "webshop", APPLICATION))

        assert types(created) == ["ApplicationCreated.v1"]
        assert types(changed) == ["ApplicationOwnerChanged.v1", "ApplicationUpdated.v1"]
        assert types(deleted) == ["ApplicationDeleted.v1"]
        assert types(again) == ["ApplicationCreated.v1"]
        stream = log.read_stream("application/default/webshop")
        assert [event.version for event in stream] == [1, 2, 3, 4, 5]


async def test_same_spec_in_other_words_records_nothing(any_url: str | None) -> None:
    async with site(any_url) as (registry, log):
        await registry.apply(change("Application", "webshop", {**APPLICATION, "tags": ["a", "b"]}))
        outcome = await registry.apply(
            change(
                "Application",
                "webshop",
                {**APPLICATION, "name": " Webshop ", "tags": ["b", "a", "a"]},
                uid="another object",
                generation=7,
            )
        )
        assert isinstance(outcome, Unchanged)
        assert outcome.state.version == 1
        assert log.head().position == 1


async def test_waits_for_a_reference_and_is_woken_when_it_arrives(any_url: str | None) -> None:
    async with site(any_url) as (registry, _):
        woken: list[object] = []
        registry.arrivals.on_wake(woken.append)
        spec = {**APPLICATION, "capabilityId": "selling"}
        outcome = await registry.apply(change("Application", "webshop", spec))
        assert isinstance(outcome, WaitingFor)
        assert outcome.missing == {ref("BusinessCapability", "selling")}
        assert outcome.errors[0].field == "spec.capabilityId"
        assert woken == []

        await registry.apply(change("BusinessCapability", "selling", {"name": "Selling"}))
        assert woken == [{ref("Application", "webshop")}]
        assert isinstance(await registry.apply(change("Application", "webshop", spec)), Recorded)
        assert registry.arrivals.waiting() == 0


async def test_refuses_a_broken_spec_with_every_complaint(any_url: str | None) -> None:
    async with site(any_url) as (registry, log):
        outcome = await registry.apply(change("Application", "webshop", {"lifecycle": "dead"}))
        assert isinstance(outcome, Refused)
        assert {error.field for error in outcome.errors} == {
            "spec.name",
            "spec.owner",
            "spec.lifecycle",
            "spec.dataClassification",
        }
        assert log.head().position == 0


async def test_a_refused_edit_leaves_the_accepted_state(any_url: str | None) -> None:
    async with site(any_url) as (registry, _):
        await registry.apply(change("Application", "webshop", APPLICATION))
        outcome = await registry.apply(
            change("Application", "webshop", {**APPLICATION, "sunsetDate": "2030-01-01"})
        )
        assert isinstance(outcome, Refused)
        assert outcome.state.version == 1
        assert outcome.last is not None


async def test_deletion_is_blocked_by_referrers_which_wake_it(any_url: str | None) -> None:
    async with site(any_url) as (registry, _):
        await registry.apply(change("BusinessCapability", "selling", {"name": "Selling"}))
        spec = {**APPLICATION, "capabilityId": "selling"}
        await registry.apply(change("Application", "webshop", spec))
        blocked = await registry.delete(change("BusinessCapability", "selling"))
        assert isinstance(blocked, Refused)
        assert blocked.errors[0].code is Code.DELETE_BLOCKED
        assert blocked.blocked_by == {ref("Application", "webshop")}

        woken: list[object] = []
        registry.arrivals.on_wake(woken.append)
        await registry.delete(change("Application", "webshop"))
        assert woken == [{ref("BusinessCapability", "selling")}]
        assert isinstance(await registry.delete(change("BusinessCapability", "selling")), Recorded)


async def test_a_terminating_referrer_does_not_block(any_url: str | None) -> None:
    async with site(any_url) as (registry, _):
        await registry.apply(change("BusinessCapability", "selling", {"name": "Selling"}))
        spec = {**APPLICATION, "capabilityId": "selling"}
        await registry.apply(change("Application", "webshop", spec))
        registry.pending.terminate(ref("Application", "webshop"))
        assert isinstance(await registry.delete(change("BusinessCapability", "selling")), Recorded)


async def test_deleting_what_was_never_recorded_records_nothing(any_url: str | None) -> None:
    async with site(any_url) as (registry, log):
        outcome = await registry.delete(change("Server", "unknown"))
        assert isinstance(outcome, Unchanged)
        assert outcome.last is None
        assert log.head().position == 0


async def test_two_new_ones_that_name_each_other_are_refused_as_a_loop(
    any_url: str | None,
) -> None:
    async with site(any_url) as (registry, _):
        one = change("Organization", "one", {"name": "One", "parentId": "two"})
        two = change("Organization", "two", {"name": "Two", "parentId": "one"})
        assert isinstance(await registry.apply(one), WaitingFor)
        refused = await registry.apply(two)
        assert isinstance(refused, Refused)
        assert refused.errors[0].code is Code.CIRCULAR_REFERENCE


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"reason": "a\x00b"}, Code.FORMAT),
        ({"approval_id": "\ud800"}, Code.FORMAT),
        ({"reason": "\U0001f600" * 2000, "approval_id": "\U0001f600" * 200}, Code.TOO_LARGE),
    ],
    ids=["NUL", "half a character", "too large"],
)
@pytest.mark.parametrize("verb", ["apply", "delete"])
async def test_what_the_log_cannot_hold_is_refused_not_retried(
    sqlite_url: str, verb: str, told: dict[str, Any], code: Code
) -> None:
    async with open_registry(sqlite_url) as opened:
        if verb == "delete":
            await opened.registry.apply(change("Server", "db-1", SERVER))
        position = opened.store.head().position
        wanted = change("Server", "db-1", SERVER, **told)
        outcome = await getattr(opened.registry, verb)(wanted)
        assert isinstance(outcome, Refused)
        (complaint,) = outcome.errors
        assert (complaint.field, complaint.code) == ("metadata.annotations", code)
        assert opened.store.head().position == position


async def test_an_actor_of_any_name_is_recorded(url: str) -> None:
    """Nobody can change what an identity provider calls him."""
    async with open_registry(url) as opened:
        for index, actor in enumerate(("Jané\u00a0Doe", "a\x00b\n", "", "x" * 300, "\ud800")):
            spec = {**SERVER, "region": f"r{index}"}
            outcome = await opened.registry.apply(change("Server", "db-1", spec, actor=actor))
            assert isinstance(outcome, Recorded), actor
        actors = [event.actor for event in opened.store.read_stream("server/default/db-1")]
        assert actors == ["Jané\\xa0Doe", "a\\x00b\\n", "system", "x" * 255, "\\ud800"]


async def test_generations_of_one_uid_are_linked(any_url: str | None) -> None:
    async with site(any_url) as (registry, _):
        first = await registry.apply(change("Server", "db-1", SERVER, generation=1))
        edited = {**SERVER, "region": "north"}
        third = await registry.apply(change("Server", "db-1", edited, generation=3))
        other = await registry.apply(change("Server", "db-1", SERVER, uid="new", generation=1))
        assert isinstance(first, Recorded)
        assert isinstance(third, Recorded)
        assert isinstance(other, Recorded)
        assert "previous_generation" not in first.events[0].metadata
        assert third.events[0].metadata["previous_generation"] == 1
        assert "previous_generation" not in other.events[0].metadata


async def test_without_a_cluster_generations_count_the_recorded_changes(
    any_url: str | None,
) -> None:
    async with site(any_url) as (registry, _):
        generations = []
        for region in ("north", "south", "south", "east"):
            spec = {**SERVER, "region": region}
            outcome = await registry.apply(change("Server", "db-1", spec))
            if isinstance(outcome, Recorded):
                generations.append(outcome.last.generation)
        assert generations == [1, 2, 3]


@pytest.mark.parametrize("error", [StoreUnavailable("lost"), asyncio.CancelledError()])
async def test_a_lost_outcome_is_found_again_not_recorded_again(
    url: str, error: BaseException
) -> None:
    wanted = change("Application", "webshop", APPLICATION, generation=1)
    async with open_registry(url, around=lambda inner: Losing(inner, error)) as opened:
        if isinstance(error, StoreUnavailable):
            outcome = await opened.registry.apply(wanted)
            assert isinstance(outcome, Unavailable)
            assert outcome.retry_after > 0
        else:
            with pytest.raises(asyncio.CancelledError):
                await opened.registry.apply(wanted)
        assert isinstance(await opened.registry.apply(wanted), Unchanged)
    async with open_registry(url) as after_restart:
        assert isinstance(await after_restart.registry.apply(wanted), Unchanged)
        assert after_restart.store.head().position == 1


class Refusing:
    """Says once that another writer was faster."""

    def __init__(self, inner: Appender, refusal: AppendRefused) -> None:
        self._inner = inner
        self._refusals = [refusal]

    async def append(self, *appends: Append) -> Appended:
        if self._refusals:
            raise self._refusals.pop()
        return await self._inner.append(*appends)


async def test_what_is_decided_anew_is_told(sqlite_url: str) -> None:
    told: list[tuple[str, AppendRefused]] = []
    refusal = ConditionFailed()
    opening = open_registry(
        sqlite_url,
        around=lambda inner: Refusing(inner, refusal),
        retried=lambda *what: told.append(what),
    )
    async with opening as opened:
        outcome = await opened.registry.apply(change("Application", "webshop", APPLICATION))
    assert isinstance(outcome, Recorded)
    assert told == [("application", refusal)]


async def test_the_same_change_at_the_same_time_is_recorded_once(url: str) -> None:
    async with open_registry(url) as one, open_registry(url) as two:
        wanted = change("Application", "webshop", APPLICATION, generation=1)
        outcomes = await asyncio.gather(
            *(opened.registry.apply(wanted) for opened in (one, two) for _ in range(8))
        )
        assert one.store.head().position == 1
        assert {outcome.state.version for outcome in outcomes if isinstance(outcome, Recorded)} == {
            1
        }
        assert all(isinstance(outcome, Recorded | Unchanged) for outcome in outcomes)


async def test_an_unreachable_database_is_unavailable(sqlite_url: str) -> None:
    async with open_registry(sqlite_url, migrate=False) as opened:
        outcome = await opened.registry.apply(change("Server", "db-1", SERVER))
        assert isinstance(outcome, Unavailable)
        assert "eatool store migrate" in outcome.detail


async def test_provenance_is_in_the_events(any_url: str | None) -> None:
    async with site(any_url) as (registry, _):
        outcome = await registry.apply(
            change(
                "Server",
                "db-1",
                SERVER,
                generation=1,
                actor="jane",
                reason="new rack",
                correlation="release-42",
                traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
            )
        )
        assert isinstance(outcome, Recorded)
        event = outcome.events[0]
        assert event.actor == "jane"
        assert isinstance(event.correlation_id, UUID)
        assert event.causation_id is not None
        assert event.metadata["reason"] == "new rack"
        assert event.metadata["trust"] == "declared"
        assert event.metadata["traceparent"].startswith("00-aaaa")


async def test_events_of_a_newer_release_stop_the_stream_not_the_process(url: str) -> None:
    async with open_registry(url) as opened:
        await opened.registry.apply(change("Server", "db-1", SERVER))
        newer = NewEvent(uuid4(), "ServerMoved.v9", {}, {"uid": "u", "generation": 1}, "newer")
        store = SqlEventStore(opened.store.engine)
        store.append(Append("server/default/db-1", 1, (newer,)))
        outcome = await opened.registry.apply(change("Server", "db-1", {**SERVER, "region": "x"}))
        assert isinstance(outcome, Unavailable)
        assert "ServerMoved.v9" in outcome.why
        assert outcome.retry_after >= 60
