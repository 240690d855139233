"""Rows are imported while they are authoritative, and not a moment longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from tests.rollout.phased import CAUSE, KIND, Site, make_old_registry, site

from eatool.cli import main
from eatool.registry.outcome import Recorded
from eatool.rollout.importing import LogDecides, RowsAuthoritative
from eatool.rollout.phases import Phase
from eatool.store.sql.engine import open_engine


@pytest.fixture
async def one(url: str) -> AsyncIterator[Site]:
    make_old_registry(url)
    async with site(url, enrolled=False) as opened:
        yield opened


async def ready(one: Site) -> RowsAuthoritative:
    rows = RowsAuthoritative(one.opened.registry, one.opened.appender, one.ledger)
    await rows.expect([KIND])
    return rows


async def test_steps_below_the_log_are_noticed_and_gone_along_with(one: Site) -> None:
    rows = await ready(one)
    assert isinstance(await rows.apply(one.change("a", name="A")), Recorded)
    one.ledger.enroll(KIND.aggregate_type, CAUSE)
    assert isinstance(await rows.apply(one.change("b", name="B")), Recorded)
    await one.enter(Phase.DUAL_WRITE)
    assert isinstance(await rows.apply(one.change("c", name="C")), Recorded)
    assert isinstance(await rows.delete(one.change("a")), Recorded)
    assert one.log_side().keys() == {"b", "c"}


async def test_nothing_is_recorded_once_the_log_decides(one: Site) -> None:
    one.ledger.enroll(KIND.aggregate_type, CAUSE)
    await one.enter(Phase.DUAL_WRITE)
    rows = await ready(one)
    await one.enter(Phase.PROJECTION_ONLY)
    with pytest.raises(LogDecides, match="Organization is in phase ProjectionOnly"):
        await rows.apply(one.change("late", name="Late"))
    assert one.log_side() == {}
    with pytest.raises(LogDecides):
        await ready(one)


def test_the_command_refuses_what_follows_the_log(url: str) -> None:
    make_old_registry(url)
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO organizations (id, name) VALUES ('shop', 'Shop')"))
    engine.dispose()

    async def walk(phase: Phase) -> None:
        async with site(url) as one:
            await one.enter(phase)

    def command(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(
            main, ["legacy", "import", "--store", url, "-k", "Organization", *arguments]
        )
        return result.exit_code, result.output

    asyncio.run(walk(Phase.DUAL_WRITE))
    assert command()[0] == 0
    asyncio.run(walk(Phase.PROJECTION_ONLY))
    for arguments in ((), ("--dry-run",)):
        code, told = command(*arguments)
        assert code == 2
        assert "Organization is in phase ProjectionOnly: the event log is authoritative" in told
