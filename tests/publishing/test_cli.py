from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from eatool.publishing.checkpoints import ParkedStream
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.cli import relay
from eatool.publishing.configured import DESTINATION
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    engine = open_engine(url)
    migrate.upgrade(engine)
    checkpoints = SqlCheckpoints(engine)
    checkpoints.claim(DESTINATION, "pod-1", lease=15)
    time = datetime(2026, 1, 1, tzinfo=UTC)
    checkpoints.park(
        DESTINATION, "pod-1", 1, ParkedStream("application/shop/a", 3, 7, 2, "too large", 1, time)
    )
    engine.dispose()
    return url


def run(*arguments: str) -> str:
    result = CliRunner().invoke(relay, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_status(url: str) -> None:
    (row,) = json.loads(run("status", "--store", url, "--output", "json"))
    assert row == {
        "destination": DESTINATION, "position": 0, "head": 0, "behind": 0,
        "owners": ["pod-1"], "parked": 1,
    }  # fmt: skip
    assert "pod-1" in run("status", "--store", url)


def test_parked_and_unpark(url: str) -> None:
    (row,) = json.loads(run("parked", "--store", url, "--output", "json"))
    assert (row["stream_id"], row["reason"]) == ("application/shop/a", "too large")
    assert not row["resend_requested"]
    run("unpark", "application/shop/a", "--store", url)
    (row,) = json.loads(run("parked", "--store", url, "--output", "json"))
    assert row["resend_requested"]


def test_unknown_stream_is_an_error(url: str) -> None:
    result = CliRunner().invoke(relay, ["unpark", "application/shop/b", "--store", url])
    assert result.exit_code == 1
    assert "not parked" in result.output
