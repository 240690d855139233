"""``eatool parity``: readable, and the only place that shows values."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.rollout.phased import Site, make_old_registry, site
from tests.store.stores import DATABASES, database_url

from eatool.cli import main
from eatool.rollout.phases import Phase


@pytest.fixture
def url(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    made = database_url("sqlite", tmp_path, request)
    make_old_registry(made)
    return made


def on(url: str, act: Callable[[Site], Awaitable[Any]]) -> None:
    async def run() -> None:
        async with site(url) as one:
            await act(one)

    asyncio.run(run())


def parity(url: str, *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["parity", *arguments, "--store", url])
    assert isinstance(result, Result)
    return result


def test_both_sides_of_a_key_are_shown(url: str) -> None:
    async def differ(one: Site) -> None:
        await one.enter(Phase.DUAL_WRITE)
        await one.registry.apply(one.change("shop", name="Shop"))
        await one.settle()
        one.rename("shop", "Direct")

    on(url, differ)
    shown = parity(url, "show", "organization", "shop")
    assert shown.exit_code == 1
    assert shown.output.split() == ["Field", "Legacy", "Registry", "name", "Direct", "Shop"]
    told = json.loads(parity(url, "show", "Organization", "shop", "-o", "json").output)
    assert told["differing"] == {"name": {"legacy": "Direct", "registry": "Shop"}}
    assert parity(url, "show", "organization", "nobody").exit_code == 0


def test_findings_and_figures_are_listed_without_values(url: str) -> None:
    async def refuse(one: Site) -> None:
        await one.enter(Phase.DUAL_WRITE)
        one.insert("fine", "Fine")
        one.insert("secret", "x" * 3_000)
        await one.settle()

    on(url, refuse)
    listed = parity(url, "show", "organizations")
    assert listed.exit_code == 1
    assert "secret" in listed.output
    assert "spec.name" in listed.output
    assert "xxx" not in listed.output
    status = parity(url, "status")
    assert status.exit_code == 1
    assert "Organization" in status.output
    (told,) = json.loads(parity(url, "status", "-o", "json").output)
    assert (told["phase"], told["rows"], told["errors"]) == ("DualWrite", 2, 1)


def test_nothing_found_is_said_and_no_failure(url: str) -> None:
    async def agree(one: Site) -> None:
        await one.enter(Phase.DUAL_WRITE)
        await one.registry.apply(one.change("shop", name="Shop"))
        await one.settle()

    on(url, agree)
    assert parity(url, "show", "organization").output == "Organization: nothing found.\n"
    assert parity(url, "show", "organization", "shop").output == (
        "Organization shop: both sides agree.\n"
    )
    assert parity(url, "status").exit_code == 0


@pytest.mark.parametrize("database", DATABASES)
def test_a_retired_kind_has_no_figures_and_fails_nothing(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = database_url(database, tmp_path, request)
    make_old_registry(url)

    async def retire(one: Site) -> None:
        await one.enter(Phase.RETIRED)

    on(url, retire)
    status = parity(url, "status")
    assert status.exit_code == 0, status.output
    assert status.output.split()[-10:] == ["Organization", "Retired", *["-"] * 8]
    (told,) = json.loads(parity(url, "status", "-o", "json").output)
    assert (told["phase"], told["rows"], told["coverage"]) == ("Retired", None, None)
    shown = parity(url, "show", "organization", "shop")
    assert shown.exit_code == 1
    assert "Organization has no legacy table organizations to compare with" in shown.output
