"""What the log answers of a kind that has nothing else any more, as people ask it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from click.testing import CliRunner
from tests.operator.operators import until
from tests.proofs.cluster.stage import SERVER, Stage
from tests.proofs.sides import log_sides, read_side

from eatool.cli import main
from eatool.store.verify import verify_chain


def assert_the_log_answers(stage: Stage, then: datetime, *, said_then: str) -> None:
    """Its history, its state as of ``then``, and read tables that still follow it."""
    name = stage.people.first(SERVER.kind)
    stage.people.edit_every_kind("kubectl in Retired")
    until(lambda: _mark(_ask(stage, "get", name)["spec"]) == "kubectl in Retired", "it is read")
    history = _ask(stage, "history", name)
    assert [entry["version"] for entry in history] == list(range(1, len(history) + 1))
    assert (history[0]["type"], history[0]["source"]) == ("ServerCreated.v1", "import")
    assert history[-1]["changes"]["owning_team"]["new"] == "kubectl in Retired"
    as_of = f"{then:%Y-%m-%dT%H:%M:%S.%fZ}"
    assert _mark(_ask(stage, "history", name, "--as-of", as_of)["spec"]) == said_then
    with stage.quiet():
        until(lambda: _read(stage) == _log(stage), "the read table follows")
    proven = _run(stage, "projections", "verify", "--kind", "server")
    assert proven.exit_code == 0, proven.output
    assert verify_chain(stage.store).sound


def _read(stage: Stage) -> object:
    return read_side(stage.store.engine, SERVER, stage.namespace)


def _log(stage: Stage) -> object:
    return log_sides(stage.store, stage.namespace, [SERVER])["server"]


def _mark(fields: dict[str, Any]) -> Any:
    return fields["owning_team"]


def _ask(stage: Stage, command: str, name: str, *options: str) -> Any:
    answer = _run(stage, command, "server", name, "-n", stage.namespace, *options, "-o", "json")
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.output)


def _run(stage: Stage, *arguments: str) -> Any:
    url = stage.operator.store_url
    return CliRunner().invoke(main, [*arguments, "--store", url])
