"""History answers who, when, what and why; and how it was at a time."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from tests.registry.sites import APPLICATION, change, ref

from eatool.domain.events import FieldChange
from eatool.registry.cli import get, history
from eatool.registry.history import history_of, state_at
from eatool.registry.opening import open_registry


async def record(url: str) -> list[datetime]:
    """Created by jane, edited by joe, deleted by jim; when each was recorded."""
    async with open_registry(url) as opened:
        registry = opened.registry
        await registry.apply(change("Application", "webshop", APPLICATION, actor="jane"))
        edited = {**APPLICATION, "owner": "new-team"}
        await registry.apply(
            change("Application", "webshop", edited, actor="joe", reason="reorganisation")
        )
        await registry.delete(change("Application", "webshop", actor="jim", approval_id="ARB-7"))
        stream = opened.store.read_stream("application/default/webshop")
        return [event.recorded_at for event in stream]


async def test_history_has_every_change(url: str) -> None:
    await record(url)
    async with open_registry(url) as opened:
        created, edited, deleted = history_of(opened.store, ref("Application", "webshop"))
    assert [entry.actor for entry in (created, edited, deleted)] == ["jane", "joe", "jim"]
    assert edited.changes == {"owner": FieldChange("shop-team", "new-team")}
    assert edited.reason == "reorganisation"
    assert deleted.approval_id == "ARB-7"
    assert deleted.type == "ApplicationDeleted.v1"


async def test_the_past_can_be_seen(url: str) -> None:
    created, edited, deleted = await record(url)
    webshop = ref("Application", "webshop")
    async with open_registry(url) as opened:
        owners = [
            getattr(state_at(opened.store, webshop, time).state.spec, "owner", None)
            for time in (created - timedelta(microseconds=1), created, edited, deleted)
        ]
    assert owners == [None, "shop-team", "new-team", None]


@pytest.fixture
def recorded(sqlite_url: str) -> str:
    asyncio.run(record(sqlite_url))
    return sqlite_url


def test_history_command_tells_who_what_and_why(recorded: str) -> None:
    result = CliRunner().invoke(history, ["eaapp", "webshop", "--store", recorded])
    assert result.exit_code == 0, result.output
    assert "joe (declared, system)" in result.output
    assert "owner: shop-team → new-team" in result.output
    assert "approved by: ARB-7" in result.output


def test_history_command_speaks_json(recorded: str) -> None:
    result = CliRunner().invoke(
        history, ["Application", "webshop", "--store", recorded, "-o", "json"]
    )
    entries = json.loads(result.output)
    assert [entry["version"] for entry in entries] == [1, 2, 3]
    assert entries[1]["changes"] == {"owner": {"old": "shop-team", "new": "new-team"}}


def test_history_as_of_a_time(sqlite_url: str) -> None:
    _, edited, _ = asyncio.run(record(sqlite_url))

    def as_of(time: str) -> Result:
        return CliRunner().invoke(
            history, ["applications", "webshop", "--store", sqlite_url, "--as-of", time, "-ojson"]
        )

    then = json.loads(as_of(edited.strftime("%Y-%m-%dT%H:%M:%S.%fZ")).output)
    assert (then["version"], then["spec"]["owner"]) == (2, "new-team")
    assert "did not exist then" in as_of("2020-01-01T00:00:00Z").output
    assert "such as 2026-01-31T08:30:00Z" in as_of("yesterday").output


def test_get_shows_live_entities_unless_asked(recorded: str) -> None:
    runner = CliRunner()
    listed = runner.invoke(get, ["applications", "--store", recorded, "-o", "json"])
    assert json.loads(listed.output) == []
    with_deleted = runner.invoke(
        get, ["applications", "--store", recorded, "--include-deleted", "-o", "json"]
    )
    (webshop,) = json.loads(with_deleted.output)
    assert webshop["spec"]["owner"] == "new-team"
    assert webshop["deleted_at"].endswith("Z")
    missing = runner.invoke(get, ["application", "webshop", "--store", recorded])
    assert missing.exit_code == 1
    assert "is not recorded" in missing.output


def test_unknown_kind_names_the_legal_ones(sqlite_url: str) -> None:
    result = CliRunner().invoke(get, ["pods", "--store", sqlite_url])
    assert result.exit_code == 2
    assert "applications" in result.output
