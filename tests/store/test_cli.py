"""The commands people look after a log with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from tests.store.support import append, keys, naming

from eatool.store.cli import store, verify
from eatool.store.sql.log import SqlEventStore


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


def test_a_log_from_nothing_to_verified(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    file.touch()
    options = ["--store", f"sqlite:///{file}"]
    before = runner.invoke(store, ["info", *options])
    assert before.exit_code == 0
    assert ["Position", "-"] in map(str.split, before.stdout.splitlines())
    file.unlink()
    assert "schema at" in runner.invoke(store, ["migrate", *options]).stdout
    facts = json.loads(runner.invoke(store, ["info", *options, "--output", "json"]).stdout)
    assert (facts["position"], facts["at_head"]) == (0, True)
    for command in ("chain", "ordering", "heads"):
        assert runner.invoke(verify, [command, *options]).exit_code == 0


def test_a_broken_log(runner: CliRunner, log: SqlEventStore, url: str) -> None:
    log.append(append("a", 0, 3))
    with log.engine.begin() as connection:
        connection.execute(text("UPDATE log SET position = 4"))
    result = runner.invoke(verify, ["chain", "--store", url])
    assert result.exit_code == 1
    assert "BROKEN at position 4 (position)" in result.stdout
    result = runner.invoke(verify, ["ordering", "--store", url, "--output", "json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["fault"]["position"] == 4
    assert runner.invoke(verify, ["chain", "--store", url, "--to", "3"]).exit_code == 0


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("DELETE FROM stream WHERE stream_id LIKE '%/a'", "a stream of the log has no row"),
        ("INSERT INTO stream VALUES ('application/shop/zz', true)", "has no events"),
        ("UPDATE unique_key SET holder = 'application/shop/gone'", "a live key"),
        ("UPDATE reference SET source = 'application/shop/gone'", "a reference"),
    ],
)
def test_heads_that_disagree(
    runner: CliRunner, log: SqlEventStore, url: str, change: str, rule: str
) -> None:
    log.append(append("a", 0, keys=keys("k"), references=naming("b")))
    log.append(append("b", 0, 2))
    log.append(append("c", 0, keys=keys("l")))
    log.append(append("c", 1, no_referrers=True))
    assert runner.invoke(verify, ["heads", "--store", url]).exit_code == 0
    with log.engine.begin() as connection:
        connection.execute(text(change))
    result = runner.invoke(verify, ["heads", "--store", url])
    assert result.exit_code == 1
    assert "BROKEN" in result.stdout
    facts = json.loads(runner.invoke(verify, ["heads", "--store", url, "--output", "json"]).stdout)
    assert not facts["sound"]
    assert any(rule in each for each in facts["broken"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["chain", "--store", "postgresql://x@127.0.0.1:1/y"], 1),
        (["ordering", "--store", "sqlite:///x.db", "--follow", "1", "--to", "3"], 2),
    ],
)
def test_trouble_is_one_line(runner: CliRunner, arguments: list[str], code: int) -> None:
    result = runner.invoke(verify, arguments)
    assert result.exit_code == code
    assert "Traceback" not in result.output
    assert "Error: " in result.stderr
