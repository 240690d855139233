from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from tests.commands.support import command

from eatool.commands.cli import commands
from eatool.commands.port import CommandState
from eatool.commands.results import Complaint, Recorded, Refused
from eatool.commands.sql import SqlCommandQueue
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine

DEAD = command("application/shop/dead", uid="dead")
DONE = command("application/shop/done", uid="done")
REFUSED = command("application/shop/refused", uid="refused", payload={"spec": {"name": "Shop"}})
NO = Refused(errors=(Complaint(field="spec.name", code="DUPLICATE", message="is taken"),))


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    engine = open_engine(url)
    migrate.upgrade(engine)
    queue = SqlCommandQueue(engine)
    for each in (DEAD, DONE, REFUSED):
        queue.enqueue(each)
    dead, done, refused = queue.claim("w", 60, 3)
    queue.bury(dead, "ValueError: [boom]")
    queue.finish(done, Recorded(version=3, first_position=8, last_position=9))
    queue.finish(refused, NO)
    engine.dispose()
    return url


def invoke(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "250"}).invoke(commands, [str(each) for each in arguments])


def run(*arguments: object) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_list_shows_what_is_not_done(url: str) -> None:
    shown = run("list", "--store", url)
    assert "0 queued, 0 running, 0 waiting, 1 dead" in shown
    assert "2 finished in the last hour: p50" in shown
    assert str(DEAD.id) in shown
    assert "ValueError: [boom]" in shown
    assert str(DONE.id) not in shown


def test_list_filters(url: str) -> None:
    everything = json.loads(run("list", "--store", url, "--all", "-o", "json"))
    assert [each["id"] for each in everything["commands"]] == [
        str(each.id) for each in (DEAD, DONE, REFUSED)
    ]
    assert everything["figures"]["finished"] == 2
    assert set(everything["figures"]["latencies"]) == {"0.5", "0.95", "0.99"}
    assert "spec.name: is taken" in run("list", "--store", url, "--state", "finished")
    one = run("list", "--store", url, "--all", "--stream", DONE.stream_id, "-o", "json")
    assert [each["id"] for each in json.loads(one)["commands"]] == [str(DONE.id)]


def test_show(url: str) -> None:
    facts = json.loads(run("show", REFUSED.id, "--store", url, "-o", "json"))
    assert (facts["state"], facts["actor"], facts["attempts"]) == ("Finished", "jane", 1)
    assert facts["payload"] == {"spec": {"name": "Shop"}}
    assert facts["result"]["errors"][0]["code"] == "DUPLICATE"
    assert "application/shop/refused" in run("show", REFUSED.id, "--store", url)


def test_retry_and_discard(url: str) -> None:
    assert "will be tried again" in run("retry", DEAD.id, "--store", url)
    assert "discarded" in run("discard", DEAD.id, "--yes", "--store", url)
    facts = json.loads(run("show", DEAD.id, "--store", url, "-o", "json"))
    assert facts["state"] == CommandState.DISCARDED
    late = invoke("retry", DONE.id, "--store", url)
    assert late.exit_code == 1
    assert "is Finished: too late" in late.output


def test_complaints(url: str) -> None:
    for action in ("show", "retry"):
        assert "there is no command" in invoke(action, uuid4(), "--store", url).output
    assert invoke("show", "no-uuid", "--store", url).exit_code == 2
