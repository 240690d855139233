"""What all commands have in common, so that a user who knows one knows the next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import click
import pytest
from click.testing import CliRunner, Result

from eatool.cli import COMMANDS, main

#: Every command that needs a store, with what it cannot do without.
ON_A_STORE = {
    "apply": ["-f", "MANIFEST"],
    "commands discard": [f"{UUID(int=0)}", "--yes"],
    "commands list": [],
    "commands retry": [f"{UUID(int=0)}"],
    "commands show": [f"{UUID(int=0)}"],
    "get": ["applications"],
    "history": ["application", "webshop"],
    "legacy adopt": [],
    "legacy import": [],
    "legacy manifests": ["--out", "OUT"],
    "legacy release": [],
    "legacy status": [],
    "parity show": ["application"],
    "parity status": [],
    "projections rebuild": [],
    "projections verify": [],
    "relay forget": ["events", "--yes"],
    "relay parked": [],
    "relay status": [],
    "relay unpark": ["application/default/webshop"],
    "rollout history": ["application"],
    "store info": [],
    "store migrate": [],
    "verify chain": [],
    "verify heads": [],
    "verify ordering": [],
}
#: Good enough where a command ends before it opens a store.
URL = "sqlite:///never.db"
#: Those that make a database where there is none.
FIRST = {"apply", "store migrate"}
#: Those that have something to say about a database without our schema: the registry's, or a fact.
BEFORE_THE_SCHEMA = {name for name in ON_A_STORE if name.startswith("legacy ")} | {"store info"}
#: Those that do something and say no more than that it is done.
DOING = {
    "commands discard", "commands retry", "legacy adopt", "legacy release", "relay forget",
    "relay unpark", "rollout approve", "store migrate",
}  # fmt: skip
#: Those about this machine, the repository or a process of their own.
ELSEWHERE = {"asyncapi", "crds", "demo", "run"}


def leaves(path: Sequence[str], command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    for name in command.commands:
        yield from leaves([*path, name], command.commands[name])


def _all() -> dict[str, click.Command]:
    found = ((name, main.get_command(click.Context(main), name)) for name in COMMANDS)
    return {
        path: leaf
        for name, command in found
        if command is not None and name != "dev"
        for path, leaf in leaves([name], command)
    }


ALL = _all()


def option(command: click.Command, flag: str) -> click.Option | None:
    return next(
        (each for each in command.params if isinstance(each, click.Option) and flag in each.opts),
        None,
    )


def run(name: str, url: str | None, tmp_path: Path) -> Result:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(
        "{apiVersion: eatool.io/v1alpha1, kind: Server, metadata: {name: s}, spec: {}}\n"
    )
    places = {"MANIFEST": str(manifest), "OUT": str(tmp_path / "out")}
    arguments = [places.get(each, each) for each in ON_A_STORE[name]]
    store = [] if url is None else ["--store", url]
    return CliRunner().invoke(main, [*name.split(), *arguments, *store])


def test_every_store_is_named_in_the_same_way() -> None:
    found = {name: option(command, "--store") for name, command in ALL.items()}
    described = {
        name: (each.envvar, each.show_envvar, each.required, each.help, each.metavar)
        for name, each in found.items()
        if each is not None
    }
    assert described.keys() == ON_A_STORE.keys()
    assert set(described.values()) == {
        (
            "EATOOL_STORE_URL",
            True,
            True,
            "sqlite:///path or postgresql://user@host/database.",
            "URL",
        )
    }


def test_whatever_prints_data_prints_a_table_or_json() -> None:
    for name in ALL.keys() - DOING - ELSEWHERE:
        output = option(ALL[name], "-o")
        assert output is not None, name
        assert isinstance(output.type, click.Choice), name
        assert (list(output.type.choices), output.default) == (["table", "json"], "table"), name
    for name in DOING:
        assert option(ALL[name], "-o") is None, name


@pytest.mark.parametrize("name", sorted(ON_A_STORE.keys() - FIRST))
def test_a_mistyped_file_is_not_created(name: str, tmp_path: Path) -> None:
    file = tmp_path / "typo.db"
    result = run(name, f"sqlite:///{file}", tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Error: --store: there is no file {file}\n" in result.stderr
    assert not file.exists()


@pytest.mark.parametrize("name", sorted(ON_A_STORE.keys() - FIRST - BEFORE_THE_SCHEMA))
def test_an_empty_database_says_what_to_do(name: str, tmp_path: Path) -> None:
    file = tmp_path / "empty.db"
    file.touch()
    result = run(name, f"sqlite:///{file}", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert "run `eatool store migrate`" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ON_A_STORE)
@pytest.mark.parametrize("url", ["mysql://db/x", "nonsense", "sqlite://"])
def test_what_is_no_store_is_a_mistake_of_usage(name: str, url: str, tmp_path: Path) -> None:
    result = run(name, url, tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: --store: " in result.stderr


@pytest.mark.parametrize("name", ON_A_STORE)
def test_a_database_that_is_away_is_one_line(name: str, tmp_path: Path) -> None:
    result = run(name, "postgresql://nobody@127.0.0.1:1/nothing", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: OperationalError: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ON_A_STORE)
def test_what_is_no_store_is_one_in_the_environment_either(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EATOOL_STORE_URL", "amqp://user:hunter2@host")
    result = run(name, None, tmp_path)
    assert isinstance(result.exception, SystemExit)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.match("Error: --store: |EATOOL_STORE_URL: ", result.stderr.splitlines()[-1])
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize("name", ["apply", "run"])
def test_variables_that_are_wrong_are_a_line_each(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EATOOL_POLICY_REQUIRE_REASON", "Server")
    monkeypatch.setenv("EATOOL_LEGACY_NAMESPACE", "team-*")
    result = CliRunner().invoke(main, ["run"]) if name == "run" else run(name, URL, tmp_path)
    assert isinstance(result.exception, SystemExit)
    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == [
        "EATOOL_LEGACY_NAMESPACE",
        "EATOOL_POLICY_REQUIRE_REASON",
    ]
