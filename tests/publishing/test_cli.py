from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.publishing.support import Writer, stream

from eatool.publishing.checkpoints import Cursor, ParkedStream
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.cli import relay
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

PARKED = ParkedStream(
    "application/shop/a", 3, 7, 2, "too large", 1, datetime(2026, 1, 1, tzinfo=UTC)
)


@pytest.fixture
def empty(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    engine = open_engine(url)
    migrate.upgrade(engine)
    engine.dispose()
    return url


def serve(url: str, *destinations: str) -> None:
    engine = open_engine(url)
    checkpoints = SqlCheckpoints(engine)
    for name in destinations:
        checkpoints.claim(name, "pod-1", lease=15)
    checkpoints.park(destinations[0], "pod-1", 1, PARKED)
    engine.dispose()


@pytest.fixture
def url(empty: str) -> str:
    serve(empty, "events")
    return empty


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(relay, arguments)


def run(*arguments: str) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_status(url: str) -> None:
    (row,) = json.loads(run("status", "--store", url, "--output", "json"))
    assert row == {
        "destination": "events", "position": 0, "head": 0, "lag_events": 0,
        "behind_seconds": 0.0, "owners": ["pod-1"], "parked": 1,
    }  # fmt: skip
    assert "pod-1" in run("status", "--store", url)


def test_a_destination_that_nobody_serves_is_told_with_the_way_to_forget_it(url: str) -> None:
    engine = open_engine(url)
    checkpoints = SqlCheckpoints(engine)
    for name in ("gone", "replay/r"):
        checkpoints.claim(name, "pod-of-yesterday", lease=-1)
    engine.dispose()
    rows = json.loads(run("status", "--store", url, "--output", "json"))
    assert {row["destination"]: row["owners"] for row in rows} == {
        "events": ["pod-1"], "gone": [], "replay/r": [],
    }  # fmt: skip
    hints = [line for line in run("status", "--store", url).splitlines() if "no process" in line]
    assert len(hints) == 1, "none for what is served, nor for a replay, which ends by itself"
    assert hints[0].startswith("gone: no process serves it.")
    assert hints[0].endswith("eatool relay forget gone")


def test_lag_counts_what_lies_beyond_the_cursors_and_says_how_old_it_is(url: str) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    store = SqlEventStore(open_engine(url), clock=lambda: long_ago)
    Writer(store).write(map(stream, range(5)))
    first, *_ = store.read_stored(limit=1)
    moved = [Cursor(first.partition, first.position, 1)]
    SqlCheckpoints(store.engine).save("events", "pod-1", moved)
    store.close()
    (row,) = json.loads(run("status", "--store", url, "--output", "json"))
    assert (row["position"], row["head"], row["lag_events"]) == (0, 5, 4)
    assert row["behind_seconds"] >= 3600


def test_a_replay_is_not_behind_what_lies_after_its_end(url: str) -> None:
    serve(url, "replay/r")
    store = SqlEventStore(open_engine(url))
    Writer(store).write(map(stream, range(5)))
    store.close()
    _, row = json.loads(run("status", "--store", url, "--output", "json"))
    assert row["destination"] == "replay/r"
    assert (row["lag_events"], row["behind_seconds"]) == (None, None)


def test_nothing_was_published_yet(empty: str) -> None:
    assert run("status", "--store", empty) == "no destinations yet\n"
    assert json.loads(run("status", "--store", empty, "--output", "json")) == []
    assert run("parked", "--store", empty) == "no destinations yet\n"
    assert json.loads(run("parked", "--store", empty, "--output", "json")) == []


def test_parked_and_unpark(url: str) -> None:
    (row,) = json.loads(run("parked", "--store", url, "--output", "json"))
    assert (row["stream_id"], row["reason"]) == ("application/shop/a", "too large")
    assert not row["resend_requested"]
    run("unpark", "application/shop/a", "--store", url)
    (row,) = json.loads(run("parked", "--store", url, "--output", "json"))
    assert row["resend_requested"]


def test_unknown_stream_is_an_error(url: str) -> None:
    result = invoke("unpark", "application/shop/b", "--store", url)
    assert result.exit_code == 1
    assert "not parked" in result.output


def test_one_of_several_destinations_must_be_named(empty: str) -> None:
    serve(empty, "events", "audit")
    result = invoke("unpark", "application/shop/a", "--store", empty)
    assert result.exit_code == 2
    assert "--destination must be one of audit, events" in result.output
    (row,) = json.loads(run("parked", "--store", empty, "--output", "json"))
    assert row["destination"] == "events", "without one, all are listed"
    assert "too large" in run("parked", "--store", empty, "--destination", "events")
    assert "nothing is parked" in run("parked", "--store", empty, "--destination", "audit")
    result = invoke("parked", "--store", empty, "--destination", "adit")
    assert "there is no destination adit; there are audit, events" in result.output


def test_a_destination_is_forgotten_only_when_nobody_serves_it(url: str) -> None:
    result = invoke("forget", "events", "--yes", "--store", url)
    assert result.exit_code == 1
    assert "a process serves destination events" in result.output
    engine = open_engine(url)
    SqlCheckpoints(engine).leave("events", "pod-1")
    engine.dispose()
    assert invoke("forget", "events", "--store", url).exit_code == 1, "asks first"
    assert run("forget", "events", "--yes", "--store", url) == "events: forgotten\n"
    assert run("status", "--store", url) == "no destinations yet\n"
    assert invoke("forget", "events", "--yes", "--store", url).exit_code == 1


def test_what_is_not_there_is_not_asked_about(url: str) -> None:
    result = invoke("forget", "nosuch", "--store", url)
    assert result.exit_code == 1
    assert "there is no destination nosuch; there are events" in result.output
    assert "Forget it?" not in result.output


def test_names_are_never_cut(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entity = f"application/{'n' * 63}/{'a' * 100}"
    engine = open_engine(empty)
    checkpoints = SqlCheckpoints(engine)
    checkpoints.claim("events", "pod-1", lease=15)
    checkpoints.park("events", "pod-1", 1, replace(PARKED, stream_id=entity, reason="[red] " * 30))
    engine.dispose()
    lines = run("parked", "--store", empty).splitlines()
    assert len(lines) == 2, "a line each in a pipe"
    assert entity in lines[1]
    assert lines[1].count("[red]") == 30
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("parked", "--store", empty)
    assert shown.count("a") >= 100
    assert "┃" in shown
    assert "…" not in shown
