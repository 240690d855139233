"""What the example subscribers make of gaps, late events, deletions and noise."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from eatool.consuming import Subscription

STREAM = "application/shop/webshop"

Take = Callable[..., None]
Rows = Callable[[str], list[Any]]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "mirror.db"


@pytest.fixture
def take(mirror: ModuleType, database: Path) -> Take:
    mirrored = mirror.Mirror(database, Subscription())

    def take(sequence: int, type_: str = "ApplicationUpdated") -> None:
        document = {
            "id": f"id-{sequence}",
            "type": f"{type_}.v1",
            "stream": STREAM,
            "sequence": sequence,
            "position": sequence,
            "time": "2026-11-23T14:15:15Z",
            "recordedTime": "2026-11-23T14:15:15Z",
            "actor": "jane@example.com",
            "data": {"entity": {"name": f"name {sequence}"}},
        }
        mirrored.take(json.dumps(document).encode(), None)

    return take


@pytest.fixture
def rows(database: Path) -> Iterator[Rows]:
    connection = sqlite3.connect(database)
    yield lambda query: connection.execute(query).fetchall()
    connection.close()


def test_a_gap_is_reported_and_the_mirror_goes_on(
    take: Take, rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    take(1)
    take(4)
    assert rows("SELECT * FROM gaps") == [(STREAM, 2, 3)]
    assert rows("SELECT entity FROM entities") == [('{"name": "name 4"}',)]
    assert capsys.readouterr().err == f"missing: {STREAM} 2 to 3\n"


def test_a_late_event_does_not_turn_the_mirror_back(take: Take, rows: Rows) -> None:
    for sequence in (1, 4, 3):
        take(sequence)
    assert rows("SELECT entity FROM entities") == [('{"name": "name 4"}',)]
    assert rows("SELECT sequence FROM changes ORDER BY sequence") == [(1,), (3,), (4,)]


def test_what_is_deleted_is_gone_until_it_is_made_again(take: Take, rows: Rows) -> None:
    take(1, "ApplicationCreated")
    take(2, "ApplicationDeleted")
    assert rows("SELECT * FROM entities") == []
    take(3, "ApplicationCreated")
    assert rows("SELECT entity FROM entities") == [('{"name": "name 3"}',)]


def test_a_step_of_a_rollout_is_history_and_no_entity(
    mirror: ModuleType, database: Path, rows: Rows
) -> None:
    step = {
        "id": "id-1",
        "type": "RolloutPhaseChanged.v1",
        "stream": "rollout/-/server",
        "sequence": 1,
        "position": 1,
        "time": "2026-11-23T14:15:15Z",
        "recordedTime": "2026-11-23T14:15:15Z",
        "actor": "system",
        "data": {"from": None, "to": "Legacy", "metadata": {}},
    }
    mirror.Mirror(database, Subscription()).take(json.dumps(step).encode(), None)
    assert rows("SELECT stream, type FROM changes") == [("rollout/-/server", "RolloutPhaseChanged")]
    assert rows("SELECT * FROM entities") == []


def test_noise_is_set_aside(
    mirror: ModuleType, database: Path, rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror.Mirror(database, Subscription()).take(b"secret noise", {})
    assert capsys.readouterr().err == "set aside: the payload is not JSON\n"
    assert rows("SELECT * FROM changes") == []
