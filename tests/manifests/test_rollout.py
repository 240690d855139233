"""``eatool apply`` on kinds under rollout writes as an operator does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.manifests.documents import documents, manifest
from tests.rollout.phased import KIND, Site, make_old_registry, site
from tests.store.stores import DATABASES, database_url

from eatool.manifests.apply import Result as Applied
from eatool.manifests.apply import apply_manifests
from eatool.manifests.cli import apply
from eatool.manifests.loader import Manifest
from eatool.registry.change import Provenance
from eatool.registry.opening import open_registry
from eatool.registry.outcome import Queued, Recorded, Unchanged, WrittenToLegacy
from eatool.registry.service import Entrance
from eatool.rollout.feed import InlineByPhase
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.phases import Phase
from eatool.rollout.taking_part import taking_part
from eatool.rollout.view import LateView
from eatool.store.sql.engine import open_engine


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    url = database_url(request.param, tmp_path, request)
    make_old_registry(url)
    return url


@pytest.fixture
async def one(url: str) -> AsyncIterator[Site]:
    async with site(url) as opened:
        yield opened


@asynccontextmanager
async def command(url: str) -> AsyncIterator[Entrance]:
    """What the command applies to, beside the operator of ``site``."""
    standings = LateView()
    opening = open_registry(url, inline=lambda _engine: [InlineByPhase(standings, "default")])
    async with opening as opened, taking_part(opened, standings, namespace="default") as registry:
        yield registry


async def applied(registry: Entrance, *names: str, patience: float = 30.0) -> Sequence[Applied]:
    manifests = [
        Manifest(KIND, KIND.ref("default", name), {"name": name.title()}, f"{name}.yaml:1")
        for name in names
    ]
    return await apply_manifests(registry, manifests, Provenance(actor="jane"), patience=patience)


@pytest.mark.parametrize(
    ("phase", "outcome", "in_log"),
    [
        (Phase.LEGACY, WrittenToLegacy, False),
        (Phase.DUAL_WRITE, Recorded, True),
        (Phase.PROJECTION_ONLY, Recorded, True),
    ],
)
async def test_it_writes_what_the_phase_says(
    url: str, one: Site, phase: Phase, outcome: type[Any], *, in_log: bool
) -> None:
    await one.enter(phase)
    async with command(url) as registry:
        (result,) = await applied(registry, "shop")
    assert isinstance(result.outcome, outcome)
    assert result.accepted
    assert one.legacy_side().keys() == {"shop"}
    assert one.log_side() == one.read_side() == (one.legacy_side() if in_log else {})


async def test_what_is_queued_is_waited_for_while_somebody_works(url: str, one: Site) -> None:
    await one.enter(Phase.ASYNC_COMMANDS)

    async def work() -> None:
        while True:
            await one.work()
            await asyncio.sleep(0.02)

    working = asyncio.create_task(work())
    async with command(url) as registry:
        results = await applied(registry, "shop", "depot")
    working.cancel()
    assert [type(result.outcome) for result in results] == [Unchanged, Unchanged]
    assert one.log_side().keys() == {"shop", "depot"}
    (created,) = one.store.read_stream("organization/default/shop")
    assert created.actor == "jane"


async def test_what_nobody_decides_stays_queued_and_is_no_success(url: str, one: Site) -> None:
    await one.enter(Phase.ASYNC_COMMANDS)
    async with command(url) as registry:
        (result,) = await applied(registry, "shop", patience=0.5)
    assert isinstance(result.outcome, Queued)
    assert not result.accepted
    assert one.log_side() == {}


async def test_a_phase_that_changes_in_between_is_noticed(url: str, one: Site) -> None:
    async with command(url) as registry:
        (before,) = await applied(registry, "before")
        await one.enter(Phase.DUAL_WRITE)
        (after,) = await applied(registry, "after")
    assert isinstance(before.outcome, WrittenToLegacy)
    assert isinstance(after.outcome, Recorded)
    assert one.legacy_side().keys() == {"before", "after"}


async def test_transitions_wait_for_a_command_and_forget_it_when_it_ends(
    url: str, one: Site
) -> None:
    ledger = SqlLedger(one.store)
    async with command(url):
        (replica,) = (
            each for each in ledger.replicas(KIND.aggregate_type) if each.name != one.view.replica
        )
        assert replica.alive
    assert [each.name for each in ledger.replicas(KIND.aggregate_type)] == [one.view.replica]


def run(url: str, file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(apply, ["--store", url, "-f", str(file), *arguments])


def test_the_command_tells_what_became_of_what(url: str, tmp_path: Path) -> None:
    async def enrolled() -> None:
        async with site(url):
            pass

    asyncio.run(enrolled())
    file = tmp_path / "two.yaml"
    server = {"hostname": "db.example", "environment": "prod", "criticality": "high"}
    file.write_text(
        documents(manifest("Organization", "shop"), manifest("Server", "db", spec=server))
    )
    dry = run(url, file, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert (
        "Organization is in phase Legacy: only its legacy table would be written, and no event "
        "recorded" in dry.output
    )
    assert "Server is in phase" not in dry.output
    result = run(url, file)
    assert result.exit_code == 0, result.output
    assert "organization/shop written to legacy" in result.output
    assert "2 manifests: 1 recorded, 1 written to legacy; 1 events" in result.output


def test_the_command_keeps_the_legacy_row_of_a_kind_that_is_projected(
    url: str, tmp_path: Path
) -> None:
    async def enter() -> None:
        async with site(url) as one:
            await one.enter(Phase.PROJECTION_ONLY)

    asyncio.run(enter())
    file = tmp_path / "one.yaml"
    file.write_text(manifest("Organization", "shop"))
    result = run(url, file)
    assert "organization/shop recorded" in result.output
    engine = open_engine(url)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT id FROM organizations").all()
    engine.dispose()
    assert [row.id for row in rows] == ["shop"]
