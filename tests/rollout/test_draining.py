"""A rollback undoes nothing that was accepted: it waits, and if need be it does not happen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from tests.rollout.phased import CAUSE, KIND, Site, make_old_registry, site

from eatool.legacy.tables import legacy_change
from eatool.registry.outcome import Queued, Recorded
from eatool.rollout.actions import Abort, Commit, Prepare, carry_out
from eatool.rollout.declared import EventSourcingRolloutSpec
from eatool.rollout.gates import Approval
from eatool.rollout.looking import Seen
from eatool.rollout.machine import Decision, decide
from eatool.rollout.phases import Phase

_KIND = KIND.aggregate_type
#: Longer than a rollback waits for anybody.
_LATE = timedelta(seconds=31)
_LEGACY = EventSourcingRolloutSpec.model_validate(
    {"entityKind": "Organization", "targetPhase": "Legacy"}
)
_REFUSES = {
    "sqlite": (
        """
        CREATE TRIGGER refuse BEFORE UPDATE ON organizations WHEN NEW.name = 'Forbidden'
        BEGIN SELECT RAISE(ABORT, 'the old application knows better'); END
        """,
        "DROP TRIGGER refuse",
    ),
    "postgresql": (
        "ALTER TABLE organizations ADD CONSTRAINT refuse CHECK (name <> 'Forbidden')",
        "ALTER TABLE organizations DROP CONSTRAINT refuse",
    ),
}


@pytest.fixture
async def one(url: str) -> AsyncIterator[Site]:
    make_old_registry(url)
    async with site(url) as opened:
        yield opened


def look(one: Site, *approvals: Approval, later: timedelta = _LATE) -> Decision:
    """One round of whoever decides, ``later``; the replica has never acknowledged by then."""
    one.view.refresh()
    standing = one.ledger.standings()[_KIND]
    history = one.ledger.history(_KIND)
    seen = Seen(
        now=datetime.now(UTC) + later,
        standing=standing,
        replicas=one.ledger.replicas(_KIND),
        history=history,
        approvals=approvals,
        undrained=one.draining.left(standing, history),
        unsafe=one.draining.overdue(standing),
    )
    decision = decide(_LEGACY, None, seen)
    if isinstance(decision.action, Prepare | Commit | Abort):
        carry_out(one.ledger, _KIND, decision.action)
        one.view.refresh()
    return decision


async def go_back(one: Site) -> None:
    """To the phase in which the rows decide."""
    for _ in range(6):
        look(one, later=timedelta(minutes=5))
        if one.ledger.standings()[_KIND].phase is Phase.DUAL_WRITE:
            return
        follow(one)
        await one.verifier.once()
    raise AssertionError(look(one).status.message)


def follow(one: Site) -> None:
    """As far as the table lets it."""
    one.followed.once()
    with suppress(Exception):
        while one.follower.step():
            pass


def safety(decision: Decision) -> tuple[str, str]:
    return next(
        (each.status, each.message) for each in decision.conditions if each.type == "RollbackSafe"
    )


async def accepted(one: Site, **names: str) -> None:
    for name, title in names.items():
        assert isinstance(await one.registry.apply(one.change(name, name=title)), Queued)
    assert await one.work() == len(names)


async def renamed_in_async(one: Site, **names: str) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    for name in names:
        change = one.change(name, name=f"First {name}")
        assert isinstance(await one.registry.apply(change), Recorded)
    await one.settle()
    await one.enter(Phase.ASYNC_COMMANDS)
    await accepted(one, **names)


def age(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits has waited for longer than it should."""
    monkeypatch.setattr("eatool.rollout.draining.PATIENCE", timedelta())


async def test_a_follower_that_stands_keeps_the_log_authoritative(one: Site) -> None:
    await renamed_in_async(one, shop="Second")
    assert isinstance(look(one).action, Prepare)
    waiting = look(one, later=timedelta(seconds=1))
    assert waiting.action is None
    assert "1 recorded event is not in the legacy table yet" in waiting.status.message
    given_up = look(one)
    assert isinstance(given_up.action, Abort)
    assert one.ledger.standings()[_KIND].phase is Phase.ASYNC_COMMANDS

    follow(one)
    await go_back(one)
    follow(one)
    await one.settle()
    assert one.log_side()["shop"]["name"] == one.legacy_side()["shop"]["name"] == "Second"


async def test_a_row_that_the_table_refuses_is_named_and_blocks_the_way_back(
    one: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse, relent = _REFUSES[one.store.engine.dialect.name]
    await renamed_in_async(one, other="Forbidden", shop="Second")
    one.write(refuse)
    follow(one)
    age(monkeypatch)
    for _ in range(3):
        blocked = look(one)
        assert (blocked.status.state, blocked.action) == ("RollbackBlocked", None)
    assert blocked.status.message.endswith("it refuses the row of other")
    assert safety(blocked)[0] == "False"
    assert "it refuses the row of other" in safety(blocked)[1]
    assert {"Stalled", "Ready"} <= {each.type for each in blocked.conditions}
    assert (one.legacy_side()["other"]["name"], one.log_side()["other"]["name"]) == (
        "First other",
        "Forbidden",
    )

    one.write(relent)
    follow(one)
    await go_back(one)
    await one.settle()
    assert {name: row["name"] for name, row in one.log_side().items()} == {
        "other": "Forbidden",
        "shop": "Second",
    }


async def test_a_person_may_take_the_loss_by_name(
    one: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse, _ = _REFUSES[one.store.engine.dialect.name]
    await renamed_in_async(one, shop="Forbidden")
    one.write(refuse)
    follow(one)
    age(monkeypatch)
    blocked = look(one)
    assert blocked.status.transition is not None
    assert [(gate.name, gate.state) for gate in blocked.status.gates] == [("lossy", "Waiting")]
    identity = blocked.status.transition.id
    look(one, Approval(identity, "promote", "jane", "annotation"))
    assert one.ledger.standings()[_KIND].preparation is None
    lossy = Approval(identity, "lossy", "jane", "annotation")
    look(one, lossy)
    look(one, lossy)
    assert one.ledger.standings()[_KIND].phase is Phase.PROJECTION_ONLY
    (newest, *_) = one.ledger.history(_KIND)
    assert newest.cause.gates[0]["actor"] == "jane"
    assert look(one, lossy).status.state == "RollbackBlocked"  # the next step asks again


async def test_what_follows_from_async_is_awaited_in_projection_only(one: Site) -> None:
    """The checkpoint outlives the phase: a commit while nobody answered may have left events."""
    await renamed_in_async(one, shop="Second")
    one.followed.once()
    begun = one.ledger.begin(_KIND, Phase.PROJECTION_ONLY, CAUSE)
    assert begun.preparation is not None
    one.ledger.commit(_KIND, begun.preparation.epoch)
    assert isinstance(look(one).action, Prepare)
    assert isinstance(look(one).action, Abort)
    await go_back(one)
    assert one.legacy_side()["shop"]["name"] == one.log_side()["shop"]["name"] == "Second"


async def test_a_forbidden_write_is_put_right_before_the_row_decides(one: Site) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    await one.registry.apply(one.change("shop", name="Shop"))
    await one.settle()
    one.rename("shop", "Direct")
    assert isinstance(look(one).action, Prepare)
    given_up = look(one)
    assert isinstance(given_up.action, Abort)
    assert "organizations not verified yet: shop" in given_up.status.message
    await one.settle()
    look(one, later=timedelta(minutes=5))
    assert isinstance(look(one).action, Commit)
    await one.settle()
    assert one.log_side()["shop"]["name"] == one.legacy_side()["shop"]["name"] == "Shop"


async def test_a_forbidden_write_after_the_announcement_does_not_win_later(one: Site) -> None:
    """A table that is written all the time must be left some day; each write by its own rule."""
    await one.enter(Phase.PROJECTION_ONLY)
    await one.registry.apply(one.change("shop", name="Shop"))
    await one.settle()
    assert isinstance(look(one).action, Prepare)
    one.rename("shop", "Direct")
    assert isinstance(look(one).action, Commit)
    assert isinstance(look(one).action, Prepare)  # on to Legacy, where nobody would put it right
    assert isinstance(look(one).action, Abort)
    await one.settle()
    assert one.log_side()["shop"]["name"] == one.legacy_side()["shop"]["name"] == "Shop"
    one.rename("shop", "Allowed")
    await one.settle()
    assert one.log_side()["shop"]["name"] == "Allowed"


async def test_safety_is_told_as_it_is(one: Site) -> None:
    await one.enter(Phase.PROJECTION_ONLY)
    await one.registry.apply(one.change("shop", name="Shop"))
    await one.settle()
    standing = one.ledger.standings()[_KIND]
    assert one.draining.overdue(standing) is None
    one.rename("shop", "Direct")
    assert one.draining.overdue(standing) is None
    with one.store.transaction() as connection:
        long_ago = datetime.now(UTC) - timedelta(minutes=1)
        connection.execute(update(legacy_change).values(changed_at=long_ago))
    assert one.draining.overdue(standing) == "1 row of organizations not verified yet: shop"
